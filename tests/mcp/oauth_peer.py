"""An MCP server of 2026-07-28 behind OAuth, and its authorization server, for tests/lua/mcp_oauth_spec.lua.

Prints its port. The first part of a path is how it behaves: /good, /wrong_iss, /no_pkce, /wrong_resource, /wrong_issuer,
/step_up (tools/call needs a wider scope). For tests/lua/mcp_authorization_spec.lua: /as/jwt issues signed tokens, /sign
signs whatever is posted, /jwks has the keys, /introspect knows the tokens of /as/jwt. Signatures are made by openssl.
"""
import base64
import hashlib
import http.server
import json
import os
import subprocess
import tempfile
import time
import urllib.parse

codes, scopes, issued = {}, {}, {}
folder = tempfile.TemporaryDirectory()


def url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True, cwd=folder.name).stdout


def make_keys():
    """Keys by name: JSON Web Keys of files NAME.pem."""
    keys = {}
    for name, words in {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed": ["ED25519"], "other": ["ED25519"],
                        "ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}.items():
        openssl("genpkey", "-algorithm", *words, "-out", f"{name}.pem")
        der = openssl("pkey", "-in", f"{name}.pem", "-pubout", "-outform", "DER")
        if name == "rsa":
            modulus = bytes.fromhex(openssl("rsa", "-in", "rsa.pem", "-noout", "-modulus").decode().strip()[8:])
            keys[name] = {"kty": "RSA", "n": url64(modulus), "e": "AQAB"}
        elif name == "ec":
            keys[name] = {"kty": "EC", "crv": "P-256", "x": url64(der[-64:-32]), "y": url64(der[-32:])}
        else:
            keys[name] = {"kty": "OKP", "crv": "Ed25519", "x": url64(der[-32:])}
        keys[name].update(kid=name, use="sig")
    return keys


def sign(name, head, claims):
    text = url64(json.dumps(head).encode()) + "." + url64(json.dumps(claims).encode())
    if name in ("ed", "other"):
        with open(os.path.join(folder.name, "text"), "w") as file:
            file.write(text)
        made = openssl("pkeyutl", "-sign", "-inkey", f"{name}.pem", "-rawin", "-in", "text")
    else:
        made = openssl("dgst", "-sha256", "-sign", f"{name}.pem", data=text.encode())
    if name == "ec":  # DER to r and s one behind the other
        r = made[4:4 + made[3]]
        s = made[6 + made[3]:]
        made = b"".join(int.from_bytes(n, "big").to_bytes(32, "big") for n in (r, s))
    return text + "." + url64(made)


keys = make_keys()


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
                "jwks_uri": f"{origin}/jwks", "code_challenge_methods_supported": ["plain"] if mode == "no_pkce" else ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True})
        elif url.path == "/jwks":
            self.reply(200, {"keys": [key for name, key in keys.items() if name != "other"]})
        elif url.path.startswith("/authorize/"):
            q = dict(urllib.parse.parse_qsl(url.query))
            codes["code-" + q["state"]] = dict(q, mode=mode)
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
        if self.path == "/sign":
            asked = json.loads(body)
            return self.reply(200, {"token": sign(asked["key"], asked["head"], asked["claims"])})
        if self.path == "/introspect":
            secret = base64.b64encode(b"server:secret").decode()
            if self.headers["authorization"] != "Basic " + secret:
                return self.reply(401, {})
            known = issued.get(dict(urllib.parse.parse_qsl(body)).get("token"))
            return self.reply(200, dict(known, active=True) if known else {"active": False})
        return self.mcp(self.path.split("/")[1], json.loads(body))

    def token(self, fields):
        asked = codes.pop(fields.get("code"), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not asked or asked["code_challenge"] != proof or asked["resource"] != fields.get("resource") or \
                fields.get("client_id") != "made" or asked["redirect_uri"] != fields.get("redirect_uri"):
            return self.reply(400, {"error": "invalid_grant"})
        token = f"token-{len(scopes)}"
        if asked["mode"] == "jwt":
            origin = f"http://127.0.0.1:{self.server.server_port}"
            claims = {"iss": f"{origin}/as/jwt", "sub": "ann", "client_id": "made", "aud": asked["resource"],
                      "exp": int(time.time()) + 600, "scope": asked.get("scope", "")}
            token = sign("ed", {"alg": "EdDSA", "kid": "ed", "typ": "at+jwt"}, claims)
            issued[token] = claims
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
