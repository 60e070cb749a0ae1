"""A scripted MongoDB server: replies to `hello` as it is told, checks SCRAM logins.

Made from MongoDB's documents of the wire protocol and of hello, and from RFC 5802. BSON is pymongo's.
Arguments: the address, a JSON file with the state, which is read anew for each reply, and a certificate
and key or nothing. The state:
  hello   the fields of the reply to hello; an error where `ok` is 0
  modern  whether the server knows `hello` beside isMaster
  cosmos  whether every command but isMaster and a login's is unsupported before the login
  users   {"database.user": ["password", "SCRAM-SHA-256", ...]}
  auth    whether commands need a login
  ca      the authority of the clients' certificates
  error   the reply to everything but hello, where it is given
"""
import base64, hashlib, hmac, json, os, socket, socketserver, ssl, struct, sys

import bson

ROUNDS = {"SCRAM-SHA-1": 4096, "SCRAM-SHA-256": 4096}
UNAUTHORIZED = {"ok": 0, "errmsg": "command requires authentication", "code": 13, "codeName": "Unauthorized"}
UNSUPPORTED = {"ok": 0, "errmsg": "Command %s not supported prior to authentication.", "code": 115,
               "codeName": "CommandNotSupported"}
REFUSED = {"ok": 0, "errmsg": "Authentication failed.", "code": 18, "codeName": "AuthenticationFailed"}


def state():
    with open(sys.argv[2]) as file:
        return json.load(file)


class Login:
    """The server's side of one SCRAM exchange."""

    def __init__(self, database, mechanism, payload):
        self.mechanism = mechanism
        self.hash = "sha1" if mechanism == "SCRAM-SHA-1" else "sha256"
        self.bare = payload.decode().split(",", 2)[2]
        fields = dict(part.split("=", 1) for part in self.bare.split(","))
        self.user = fields["n"].replace("=2C", ",").replace("=3D", "=")
        known = state()["users"].get(f"{database}.{self.user}")
        self.known = known is not None and mechanism in known[1:]
        password = known[0] if self.known else "nobody"
        if mechanism == "SCRAM-SHA-1":
            password = hashlib.md5(f"{self.user}:mongo:{password}".encode()).hexdigest()
        self.salt = b"0123456789abcdef"
        self.salted = hashlib.pbkdf2_hmac(self.hash, password.encode(), self.salt, ROUNDS[mechanism])
        self.nonce = fields["r"] + base64.b64encode(os.urandom(12)).decode()
        salt = base64.b64encode(self.salt).decode()
        self.first = f"r={self.nonce},s={salt},i={ROUNDS[mechanism]}"

    def mac(self, key, text):
        return hmac.new(key, text.encode(), self.hash).digest()

    def prove(self, payload):
        """The server's last message; nothing where the client's proof is wrong."""
        bare, proof = payload.decode().rsplit(",p=", 1)
        if f"r={self.nonce}" not in bare or not self.known:
            return None
        signed = f"{self.bare},{self.first},{bare}"
        client = self.mac(self.salted, "Client Key")
        signature = self.mac(hashlib.new(self.hash, client).digest(), signed)
        if bytes(a ^ b for a, b in zip(client, signature)) != base64.b64decode(proof):
            return None
        return "v=" + base64.b64encode(self.mac(self.mac(self.salted, "Server Key"), signed)).decode()


class Conversation(socketserver.BaseRequestHandler):
    def setup(self):
        if len(sys.argv) > 3:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[3], sys.argv[4])
            if "ca" in state():
                context.load_verify_locations(state()["ca"])
                context.verify_mode = ssl.CERT_OPTIONAL
            self.request = context.wrap_socket(self.request, server_side=True)
        self.login = None
        self.user = None

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def handle(self):
        try:
            while True:
                length, number, _, code = struct.unpack("<4i", self.exactly(16))
                body = self.exactly(length - 16)
                if code == 2013:
                    assert body[4] == 0, "one section of the kind 0"
                    reply = b"\0" * 5 + bson.encode(self.reply(bson.decode(body[5:])))
                    answer = 2013
                else:
                    # OP_QUERY, in which drivers begin.
                    text = body[4:].split(b"\0", 1)[1]
                    reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(self.reply(bson.decode(text[8:])))
                    answer = 1
                self.request.sendall(struct.pack("<4i", 16 + len(reply), 1, number, answer) + reply)
        except (EOFError, OSError):
            pass

    def reply(self, command):
        name = next(iter(command))
        now = state()
        if now.get("cosmos") and not self.user and not name.lower().startswith(("ismaster", "sasl")):
            return {**UNSUPPORTED, "errmsg": UNSUPPORTED["errmsg"] % name}
        if name in ("hello", "isMaster", "ismaster"):
            if name == "hello" and not now.get("modern", True):
                return {"ok": 0, "errmsg": "no such command: 'hello'", "code": 59, "codeName": "CommandNotFound"}
            reply = {"ok": 1, "minWireVersion": 0, "maxWireVersion": 21, "maxBsonObjectSize": 16 << 20,
                     "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000}
            reply.update(now["hello"])
            asked = command.get("saslSupportedMechs")
            if asked in now.get("users", {}):
                reply["saslSupportedMechs"] = now["users"][asked][1:]
            if not command.get("loadBalanced"):
                reply.pop("serviceId", None)
            return reply
        if name == "saslStart":
            if command["mechanism"] == "PLAIN":
                _, user, password = bytes(command["payload"]).decode().split("\0")
                known = now.get("users", {}).get(f"{command['$db']}.{user}", [None])
                if known[0] != password or "PLAIN" not in known:
                    return REFUSED
                self.user = user
                return {"ok": 1, "conversationId": 1, "done": True, "payload": b""}
            self.login = Login(command["$db"], command["mechanism"], bytes(command["payload"]))
            return {"ok": 1, "conversationId": 1, "done": False, "payload": self.login.first.encode()}
        if name == "authenticate":
            if not self.request.getpeercert() or f"$external.{command.get('user', '')}" not in now["users"]:
                return REFUSED
            self.user = "by certificate"
            return {"ok": 1}
        if name == "saslContinue":
            if self.user:
                return {"ok": 1, "conversationId": 1, "done": True, "payload": b""}
            proof = self.login.prove(bytes(command["payload"]))
            if proof is None:
                return REFUSED
            self.user = self.login.user
            # Servers before 4.4 want one message more.
            return {"ok": 1, "conversationId": 1, "done": now.get("modern", True), "payload": proof.encode()}
        if "error" in now:
            return now["error"]
        if now.get("auth") and not self.user and name not in ("ping", "endSessions"):
            return UNAUTHORIZED
        return {"ok": 1, "databases": []}


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


host, port = sys.argv[1].rsplit(":", 1)
with Server((host, int(port)), Conversation) as server:
    print("started", flush=True)
    server.serve_forever()
