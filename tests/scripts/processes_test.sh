# Training in several processes, as torchrun starts them.

lmfast=$ROOT/build/release/bin/lmfast

need_train() {
  [[ -x $lmfast ]] && "$lmfast" -e 'require("lm.engine.machine").torch()' >/dev/null 2>&1 || skip "no build with the training engine"
}

# train FOLDER BATCH_SIZE: a run of two epochs over the rows in $T.
train() {
  cat <<LUA
lm.train{ model = "$ROOT/tests/data/models/llama", data = "$T/rows.jsonl", output = "$1", batch_size = $2, epochs = 2,
  format = "tokens", max_length = 32, packing = false, precision = "f32", eval_split = 7, learning_rate = 0.01, neftune = 2,
  lora = { rank = 4 }, quiet = true }
LUA
}

test_two_processes_take_the_steps_of_one_with_the_double_batch() {
  need_train
  # 33 rows: the last step of an epoch has rows for the first process only.
  python3 -c '
import json, random
random.seed(1)
for _ in range(40):
    ids = [random.randrange(3, 60) for _ in range(random.randint(5, 30))]
    print(json.dumps({"input_ids": ids, "labels": ids}))' >"$T/rows.jsonl"
  "$lmfast" -e "$(train "$T/one" 8)" 2>/dev/null
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  export WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port
  # The leading process names the folder.
  RANK=1 timeout 100 "$lmfast" -e "$(train "$T/other" 4)" >"$T/rank1" 2>/dev/null &
  RANK=0 timeout 100 "$lmfast" -e "$(train "$T/two" 4)" 2>/dev/null
  wait $!
  same "" "$(<"$T/rank1")"
  same no "$([[ -e $T/other ]] && echo yes || echo no)"
  same "12 records, equal" "$(python3 - "$T/one/history.jsonl" "$T/two/history.jsonl" <<'PYTHON'
import json, sys
one, two = ([r for r in map(json.loads, open(p)) if r["kind"] != "save"] for p in sys.argv[1:])
equal = len(one) == len(two) and all(
    a["kind"] == b["kind"] and abs(a["loss"] - b["loss"]) <= 1e-6 * a["loss"]
    and abs(a.get("grad_norm", 0) - b.get("grad_norm", 0)) <= 1e-5 for a, b in zip(one, two))
print(len(one), "records,", "equal" if equal else f"{one} {two}")
PYTHON
)"
}

test_missing_variables_are_named() {
  need_train
  export WORLD_SIZE=2
  contains "$("$lmfast" -e "$(train "$T/one" 8)" 2>&1 || true)" "RANK is not; expected what torchrun sets"
  export RANK=5
  contains "$("$lmfast" -e "$(train "$T/one" 8)" 2>&1 || true)" 'RANK is "5"; expected a number from 0 to 1'
}
