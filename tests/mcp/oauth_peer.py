"""An MCP server of 2026-07-28 behind OAuth, and its authorization server, for tests/lua/mcp_oauth_spec.lua.

Prints its port. The first part of a path is how it behaves: /good, /wrong_iss, /no_pkce, /wrong_resource, /wrong_issuer,
/step_up (tools/call needs a wider scope).
"""
import base64
import hashlib
import http.server
import json
import urllib.parse

codes, scopes = {}, {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, value=None, headers=()):
        body = json.dumps(value).encode() if value is not None else b""
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        origin = f"http://127.0.0.1:{self.server.server_port}"
        url = urllib.parse.urlsplit(self.path)
        mode = url.path.rstrip("/").split("/")[-1]
        if url.path.startswith("/.well-known/oauth-protected-resource/"):
            mode = url.path.split("/")[3]
            resource = f"{origin}/other" if mode == "wrong_resource" else f"{origin}/{mode}/mcp"
            self.reply(200, {"resource": resource, "authorization_servers": [f"{origin}/as/{mode}"]})
        elif url.path.startswith("/.well-known/oauth-authorization-server/as/"):
            issuer = f"{origin}/as/" + ("evil" if mode == "wrong_issuer" else mode)
            self.reply(200, {
                "issuer": issuer, "authorization_endpoint": f"{origin}/authorize/{mode}",
                "token_endpoint": f"{origin}/token", "registration_endpoint": f"{origin}/register",
                "code_challenge_methods_supported": ["plain"] if mode == "no_pkce" else ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True})
        elif url.path.startswith("/authorize/"):
            q = dict(urllib.parse.parse_qsl(url.query))
            codes["code-" + q["state"]] = q
            back = {"code": "code-" + q["state"], "state": q["state"],
                    "iss": f"{origin}/as/" + ("evil" if mode == "wrong_iss" else mode)}
            self.reply(302, None, [("location", q["redirect_uri"] + "?" + urllib.parse.urlencode(back))])
        else:
            self.reply(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0)).decode()
        if self.path == "/register":
            return self.reply(201, {"client_id": "made", "redirect_uris": json.loads(body)["redirect_uris"]})
        if self.path == "/token":
            return self.token(dict(urllib.parse.parse_qsl(body)))
        return self.mcp(self.path.split("/")[1], json.loads(body))

    def token(self, fields):
        asked = codes.pop(fields.get("code"), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not asked or asked["code_challenge"] != proof or asked["resource"] != fields.get("resource") or \
                fields.get("client_id") != "made" or asked["redirect_uri"] != fields.get("redirect_uri"):
            return self.reply(400, {"error": "invalid_grant"})
        token = f"token-{len(scopes)}"
        scopes[token] = asked.get("scope", "")
        return self.reply(200, {"access_token": token, "token_type": "Bearer", "scope": scopes[token]})

    def mcp(self, mode, message):
        origin = f"http://127.0.0.1:{self.server.server_port}"
        token = (self.headers["authorization"] or "").removeprefix("Bearer ")
        if token not in scopes:
            return self.reply(401, None, [("www-authenticate", 'Bearer scope="read", resource_metadata="'
                                           f'{origin}/.well-known/oauth-protected-resource/{mode}/mcp"')])
        if mode == "step_up" and message["method"] == "tools/call" and "write" not in scopes[token]:
            return self.reply(403, None, [("www-authenticate", 'Bearer error="insufficient_scope", scope="write", '
                                           f'resource_metadata="{origin}/.well-known/oauth-protected-resource/{mode}/mcp"')])
        results = {
            "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0,
                                "cacheScope": "private"},
            "tools/list": {"tools": [{"name": "scopes", "inputSchema": {"type": "object"}}], "ttlMs": 0,
                           "cacheScope": "private"},
            "tools/call": {"content": [{"type": "text", "text": scopes[token]}]}}
        result = {"resultType": "complete", **results[message["method"]]}
        return self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
