"""A server that speaks the part of the Hugging Face Hub's API that downloads need, with a switch for each fault.

Small files come from /ORG/NAME/resolve/..., large ones ("LFS") by a redirect to another host name of the same machine,
as on the Hub. `Hub.faults` maps a fault's name to its value; `Hub.log` records (method, path, headers) of each request.
"""

import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_blob_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    """files: path -> bytes; `lfs`: the paths that are stored outside of git."""

    def __init__(self, files, lfs=(), license_id="apache-2.0", gated=False, private=False, revisions=("main",)):
        self.files, self.lfs = files, set(lfs)
        self.license_id, self.gated, self.private, self.revisions = license_id, gated, private, revisions

    def etag(self, path):
        data = self.files[path]
        return hashlib.sha256(data).hexdigest() if path in self.lfs else git_blob_id(data)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self):
        return self.server.hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.route(True)

    def do_GET(self):
        self.route(False)

    def reply(self, status, headers=(), body=b"", head=False):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def fail(self, status, code, message):
        self.reply(status, [("X-Error-Code", code), ("X-Error-Message", message)])

    def route(self, head):
        hub = self.hub
        with hub.lock:
            hub.log.append((self.command, self.path, dict(self.headers.items())))
            hub.requests += 1
            number = hub.requests
        for fault in (self.busy, self.odd_bytes):
            if fault(number):
                return
        path = urllib.parse.unquote(self.path.split("?")[0])
        for pattern, action in self.ROUTES:
            found = re.fullmatch(pattern, path)
            if found:
                action(self, head, *found.groups())
                return
        self.reply(404, head=head)

    # --- Faults of any request.

    def busy(self, number):
        """The first `busy` requests get status 429 or 503 with Retry-After."""
        busy = self.hub.faults.get("busy")
        if not busy or number > busy["times"]:
            return False
        self.reply(busy["status"], [("Retry-After", str(busy.get("after", 0)))])
        return True

    def odd_bytes(self, _):
        faults = self.hub.faults
        if "endless_headers" in faults:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            try:
                for i in range(1 << 30):
                    self.wfile.write(b"X-%d: %s\r\n" % (i, b"y" * 4000))
            except OSError:
                pass
            self.close_connection = True
            return True
        if "garbage" in faults:
            self.wfile.write(b"\0\1\2 this is not HTTP\r\n\r\n")
            self.close_connection = True
            return True
        if "silent" in faults:
            time.sleep(faults["silent"])
            self.close_connection = True
            return True
        return False

    # --- The API.

    def repo_or_fail(self, repo_id):
        repo = self.hub.repos.get(repo_id)
        token = self.headers.get("Authorization")
        if token not in (None, "Bearer " + self.hub.token):
            self.fail(401, "", "Invalid credentials in Authorization header")
            return None
        if repo is None or (repo.private and token is None):
            self.fail(401, "RepoNotFound", "Repository not found")
            return None
        return repo

    def api(self, head, repo_id, revision):
        repo = self.repo_or_fail(repo_id)
        if repo is None:
            return
        if revision not in repo.revisions and revision != COMMIT:
            self.fail(404, "RevisionNotFound", "Invalid rev id: " + revision)
            return
        if "raw_listing" in self.hub.faults:
            self.reply(200, [("Content-Type", "application/json")], self.hub.faults["raw_listing"], head)
            return
        siblings = []
        for path, data in repo.files.items():
            entry = {"rfilename": path}
            if "names_only" not in self.hub.faults:
                entry.update(size=len(data), blobId=git_blob_id(data))
                if path in repo.lfs:
                    entry["lfs"] = {"sha256": repo.etag(path), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        body = {"id": repo_id, "modelId": repo_id, "sha": COMMIT, "private": repo.private, "siblings": siblings,
                "gated": repo.gated, "tags": [], "downloads": 1, "likes": 0}
        if repo.license_id:
            body["cardData"] = {"license": repo.license_id}
            body["tags"].append("license:" + repo.license_id)
        self.reply(200, [("Content-Type", "application/json")], json.dumps(body).encode(), head)

    def api_tree(self, head, repo_id, _revision):
        repo = self.repo_or_fail(repo_id)
        if repo is None:
            return
        rows = []
        for path, data in repo.files.items():
            row = {"type": "file", "path": path, "size": len(data), "oid": git_blob_id(data)}
            if path in repo.lfs:
                row["lfs"] = {"oid": repo.etag(path), "size": len(data), "pointerSize": 134}
            rows.append(row)
        self.reply(200, [("Content-Type", "application/json")], json.dumps(rows).encode(), head)

    def resolve(self, head, repo_id, revision, path):
        repo = self.repo_or_fail(repo_id)
        if repo is None:
            return
        if repo.gated and self.headers.get("Authorization") is None:
            self.fail(401, "GatedRepo", f"Access to model {repo_id} is restricted.")
            return
        if revision not in repo.revisions and revision != COMMIT:
            self.fail(404, "RevisionNotFound", "Invalid rev id: " + revision)
            return
        if path not in repo.files:
            self.fail(404, "EntryNotFound", "Entry not found")
            return
        etag = self.hub.faults.get("etag", repo.etag(path))
        common = [("X-Repo-Commit", COMMIT)]
        if "loop" in self.hub.faults:
            self.reply(302, common + [("Location", self.path)], head=head)
        elif path in repo.lfs:
            target = f"http://localhost:{self.hub.port}/cdn/{repo_id}/{urllib.parse.quote(path)}?signature=a%2Fb"
            headers = common + [("X-Linked-Etag", f'"{etag}"'), ("X-Linked-Size", str(len(repo.files[path]))), ("Location", target)]
            self.reply(302, headers, b"Found. Redirecting to ...", head)
        else:
            self.content(head, repo.files[path], common + [("ETag", f'"{etag}"')])

    def cdn(self, head, repo_id, path):
        with self.hub.lock:
            self.hub.cdn_requests += 1
            expired = self.hub.cdn_requests in self.hub.faults.get("expired", ())
        if expired:
            self.reply(403, head=head)
            return
        self.content(head, self.hub.repos[repo_id].files[path], [("ETag", '"of-the-storage"')])

    def plain(self, head, path):
        if path not in self.hub.plain:
            self.reply(404, head=head)
            return
        if head and "no_head" in self.hub.faults:
            self.reply(405)
            return
        self.content(head, self.hub.plain[path], [])

    def package_index(self, head, name):
        """The simple index of Python packages (PEP 503), for pip."""
        links = [f'<a href="/files/{file}">{file}</a>' for file in self.hub.plain if file.split("-")[0].replace("_", "-") == name]
        self.reply(200, [("Content-Type", "text/html")], ("<!DOCTYPE html><html><body>" + "".join(links) + "</body></html>").encode(), head)

    # --- Contents, with ranges and their faults.

    def content(self, head, data, headers):
        faults = self.hub.faults
        if "corrupt" in faults:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if "longer" in faults:
            data = data + b"more"
        status, begin, end = 200, 0, len(data)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and "no_ranges" not in faults:
            begin, end = int(wanted.group(1)), min(int(wanted.group(2) or len(data)) + 1, len(data))
            if begin >= len(data):
                self.reply(416, [("Content-Range", f"bytes */{len(data)}")], head=head)
                return
            shown = begin + faults.get("shifted", 0)
            status, headers = 206, headers + [("Content-Range", f"bytes {shown}-{end - 1}/{len(data)}")]
        body = data[begin:end]
        chunked = "chunked" in faults
        headers = headers + [("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))]
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if not head:
            self.send_body(body, chunked)

    def send_body(self, body, chunked):
        faults = self.hub.faults
        limit = None
        if faults.get("drop", 0) > 0 and len(body) > faults.get("drop_after", 0):
            with self.hub.lock:
                faults["drop"] -= 1
            limit = faults.get("drop_after", 0)
        sent = 0
        for at in range(0, len(body), 1 << 16):
            piece = body[at:at + (1 << 16)]
            if limit is not None and sent + len(piece) > limit:
                self.wfile.write(piece[:limit - sent])
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if chunked:
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(piece)
            sent += len(piece)
            with self.hub.lock:
                self.hub.sent += len(piece)
            if "slow" in faults:
                time.sleep(len(piece) / faults["slow"])
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    ROUTES = [
        (r"/api/models/([^/]+/[^/]+|[^/]+)/revision/(.+)", api),
        (r"/api/models/([^/]+/[^/]+|[^/]+)/tree/(.+)", api_tree),
        (r"/cdn/([^/]+/[^/]+)/(.+)", cdn),
        (r"/files/(.+)", plain),
        (r"/simple/([^/]+)/", package_index),
        (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", resolve),
    ]


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # a client that goes away is part of the tests


class Hub:
    """Starts at once on a free port of 127.0.0.1; `with` closes it."""

    token = "hf_the_right_token"

    def __init__(self, repos=None, plain=None, tls=None):
        self.repos, self.plain, self.faults, self.log = repos or {}, plain or {}, {}, []
        self.lock, self.requests, self.cdn_requests, self.sent = threading.Lock(), 0, 0, 0
        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.server.hub = self
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def requested(self, pattern):
        return [entry for entry in self.log if re.search(pattern, entry[1])]
