"""A scripted Kafka broker: ApiVersions, SASL and Metadata, as its state has them.

Made from Kafka's documents of its protocol, and from RFC 5802. Arguments: the address, a JSON file with
the state, which is read anew for each request, and a certificate and key or nothing. The state:
  brokers     [[number, host, port], ...]
  controller  the number of the controller
  topics      {"name": [error, [[error, leader], ...]]}
  metadata    [oldest, newest] version of Metadata
  sasl        {"PLAIN": {"user": "password"}, ...}; without it the listener takes no login
  framed      whether the login's messages are requests (since Kafka 1.0)
A topic that is asked for and is not there is made, unless the request forbids it.
"""
import base64, hashlib, hmac, json, os, socketserver, ssl, struct, sys

ROUNDS = 4096


def state():
    with open(sys.argv[2]) as file:
        return json.load(file)


def text(value):
    return struct.pack(">h", len(value)) + value.encode() if value is not None else b"\xff\xff"


def array(values):
    return struct.pack(">i", len(values)) + b"".join(values)


class Fields:
    def __init__(self, data):
        self.data = data

    def take(self, form):
        value, = struct.unpack_from(">" + form, self.data)
        self.data = self.data[struct.calcsize(">" + form):]
        return value

    def bytes(self, form="h"):
        length = self.take(form)
        if length < 0:
            return None
        value, self.data = self.data[:length], self.data[length:]
        return value


class Scram:
    """The server's side of one exchange."""

    def __init__(self, name, users, payload):
        self.hash = name.lower().removeprefix("scram-").replace("-", "")
        self.bare = payload.decode().split(",", 2)[2]
        fields = dict(part.split("=", 1) for part in self.bare.split(","))
        user = fields["n"].replace("=2C", ",").replace("=3D", "=")
        self.known = user in users
        self.salt = b"0123456789"
        password = users.get(user, "nobody").encode()
        self.salted = hashlib.pbkdf2_hmac(self.hash, password, self.salt, ROUNDS)
        self.nonce = fields["r"] + base64.b64encode(os.urandom(12)).decode()
        self.first = f"r={self.nonce},s={base64.b64encode(self.salt).decode()},i={ROUNDS}"

    def mac(self, key, text):
        return hmac.new(key, text.encode(), self.hash).digest()

    def prove(self, payload):
        bare, proof = payload.decode().rsplit(",p=", 1)
        signed = f"{self.bare},{self.first},{bare}"
        client = self.mac(self.salted, "Client Key")
        signature = self.mac(hashlib.new(self.hash, client).digest(), signed)
        if not self.known or bytes(a ^ b for a, b in zip(client, signature)) != base64.b64decode(proof):
            return None
        return "v=" + base64.b64encode(self.mac(self.mac(self.salted, "Server Key"), signed)).decode()


class Refused(Exception):
    """The login is refused; the broker closes."""


class Conversation(socketserver.BaseRequestHandler):
    def setup(self):
        if len(sys.argv) > 3:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[3], sys.argv[4])
            self.request = context.wrap_socket(self.request, server_side=True)
        self.mechanism = self.scram = None
        self.logged_in = "sasl" not in state()
        self.bare = False

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def send(self, data):
        self.request.sendall(struct.pack(">i", len(data)) + data)

    def handle(self):
        try:
            while True:
                data = self.exactly(struct.unpack(">i", self.exactly(4))[0])
                if self.bare and not self.logged_in:
                    self.send(self.token(data))
                    continue
                fields = Fields(data)
                api, version, number = fields.take("h"), fields.take("h"), fields.take("i")
                fields.bytes()
                body = self.reply(api, version, fields)
                self.send(struct.pack(">i", number) + body)
        except (EOFError, OSError):
            pass
        except Refused as refused:
            if refused.args:
                self.send(refused.args[0])

    def token(self, data):
        """The answer to one message of the login."""
        users = state()["sasl"][self.mechanism]
        if self.mechanism == "PLAIN":
            _, user, password = data.decode().split("\0")
            self.logged_in = users.get(user) == password
            answer = b"" if self.logged_in else None
        elif self.scram is None:
            self.scram = Scram(self.mechanism, users, data)
            answer = self.scram.first.encode()
        else:
            proof = self.scram.prove(data)
            self.logged_in = proof is not None
            answer = proof.encode() if proof else None
        if answer is None:
            raise Refused()
        return answer

    def reply(self, api, version, fields):
        now = state()
        if api == 18:
            apis = [(3, *now.get("metadata", [0, 8])), (18, 0, 2)]
            if "sasl" in now:
                apis += [(17, 0, 1)] + [(36, 0, 1)] * now.get("framed", True)
            # What librdkafka looks for in a broker of that age.
            apis += [(0, 0, 7), (1, 0, 10), (2, 0, 2), (10, 0, 2), (19, 0, 2)]
            listed = array([struct.pack(">3h", *api) for api in apis])
            if version > 2:
                return struct.pack(">h", 35) + listed
            return struct.pack(">h", 0) + listed + (struct.pack(">i", 0) if version else b"")
        if api == 17:
            if "sasl" not in now:
                return struct.pack(">h", 34) + array([])
            self.mechanism = fields.bytes().decode()
            self.bare = version == 0
            known = [text(name) for name in now["sasl"]]
            return struct.pack(">h", 0 if self.mechanism in now["sasl"] else 33) + array(known)
        if api == 36:
            lifetime = struct.pack(">q", 0) if version else b""
            try:
                answer = self.token(fields.bytes("i"))
            except Refused:
                number_less = struct.pack(">h", 58) + text("Authentication failed during authentication "
                                                           "due to invalid credentials with SASL mechanism "
                                                           + self.mechanism)
                return number_less + struct.pack(">i", 0) + lifetime
            return struct.pack(">h", 0) + text(None) + struct.pack(">i", len(answer)) + answer + lifetime
        if api == 3 and self.logged_in:
            return self.metadata(now, version, fields)
        raise EOFError

    def metadata(self, now, version, fields):
        count = fields.take("i")
        everything = count < 0 or (version == 0 and count == 0)
        names = list(now["topics"]) if everything else [fields.bytes().decode() for _ in range(count)]
        if (version < 4 or fields.take("b")) and not set(names) <= set(now["topics"]):
            for name in names:
                now["topics"].setdefault(name, [0, [[0, 1]]])
            with open(sys.argv[2], "w") as file:
                json.dump(now, file)
        brokers = [struct.pack(">i", number) + text(host) + struct.pack(">i", port)
                   + (text(None) if version > 0 else b"") for number, host, port in now["brokers"]]
        replicas = array([struct.pack(">i", 1)])
        topics = []
        for name in names:
            error, partitions = now["topics"].get(name, [3, []])
            listed = [struct.pack(">hii", error, number, leader) + (struct.pack(">i", 0) if version > 6 else b"")
                      + replicas * 2 + (array([]) if version > 4 else b"")
                      for number, (error, leader) in enumerate(partitions)]
            topics.append(struct.pack(">h", error) + text(name) + (b"\0" if version > 0 else b"")
                          + array(listed) + (struct.pack(">i", 0) if version > 7 else b""))
        return ((struct.pack(">i", 0) if version > 2 else b"") + array(brokers)
                + (text("scripted") if version > 1 else b"")
                + (struct.pack(">i", now["controller"]) if version > 0 else b"")
                + array(topics) + (struct.pack(">i", 0) if version > 7 else b""))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


host, port = sys.argv[1].rsplit(":", 1)
with Server((host, int(port)), Conversation) as server:
    print("started", flush=True)
    server.serve_forever()
