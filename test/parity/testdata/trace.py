# One raw SSH connection to $LOGIN at $HOST:$PORT with the key $KEY. Sends what
# its argument says, without waiting for replies, and prints the messages that
# come, in their order.
import os, sys, threading, time
import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST, MSG_CHANNEL_SUCCESS, MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS,
    cMSG_CHANNEL_REQUEST,
)

env = os.environ
NAMES = {
    MSG_CHANNEL_CLOSE: "close", MSG_CHANNEL_DATA: "data", MSG_CHANNEL_EOF: "eof", MSG_CHANNEL_EXTENDED_DATA: "data",
    MSG_CHANNEL_FAILURE: "no", MSG_CHANNEL_SUCCESS: "yes", MSG_CHANNEL_OPEN: "open",
    MSG_REQUEST_FAILURE: "no", MSG_REQUEST_SUCCESS: "yes",
}
trace, closed = [], threading.Event()


def record(name):
    if trace[-1:] != ["data"] or name != "data":
        trace.append(name)
    if name == "close":
        closed.set()


def recorded(kind, handle):
    def handler(channel, m):
        name = NAMES.get(kind)
        if kind == MSG_CHANNEL_REQUEST:
            name = m.get_text()
            m.rewind()
            m.get_byte(), m.get_int()
        if name:
            record(name)
        if name not in ("yes", "no"):  # paramiko waits for one reply at a time
            handle(channel, m)
    return handler


def connect():
    key = paramiko.Ed25519Key.from_private_key_file(env["KEY"])
    if os.path.exists(env["KEY"] + "-cert.pub"):
        key.load_certificate(env["KEY"] + "-cert.pub")
    transport = paramiko.Transport((env["HOST"], int(env["PORT"])))
    transport._channel_handler_table = {k: recorded(k, h) for k, h in transport._channel_handler_table.items()}
    transport.connect(username=env["LOGIN"], pkey=key)
    return transport


def request(channel, name, *strings, reply=True):
    m = paramiko.Message()
    m.add_byte(cMSG_CHANNEL_REQUEST)
    m.add_int(channel.remote_chanid)
    m.add_string(name)
    m.add_boolean(reply)
    for string in strings:
        m.add_string(string)
    channel.transport._send_user_message(m)


# The order in which a session ends.
def end(transport):
    channel = transport.open_session()
    request(channel, "exec", "seq 20000; seq 20000 >&2; exit 3")
    if env["INPUT"] == "ended":
        channel.shutdown_write()
    closed.wait(30)


# Replies to requests that nobody waited for, PuTTY's among them, with data
# right behind.
def pipelined(transport):
    channel = transport.open_session()
    winadj = "winadj@putty.projects.tartarus.org"
    request(channel, "env", "LC_BERTH", "x")
    request(channel, winadj)
    request(channel, "env", "LD_PRELOAD", "/nonesuch.so")
    request(channel, "env", "LC_OTHER", "y")
    for _ in range(5):
        request(channel, winadj)
    request(channel, "exec", "cat; echo $LC_BERTH$LC_OTHER; sleep 1")
    request(channel, winadj)
    request(channel, "exec", "echo a second command")
    channel.sendall(b"early ")
    channel.shutdown_write()
    closed.wait(30)
    print(channel.makefile().read().decode(), end="")


# A connection to a forwarded port that is tried before it is open. Each has a port
# of its own: what the server forks meanwhile may hold on to the last for a moment.
def forwarded(transport):
    for name in ("_parse_request_success", "_parse_request_failure", "_parse_channel_open"):
        record_before(transport, name)
    for port in env["FAR_PORTS"].split():
        channel = transport.open_session()
        request(channel, "exec", "exec timeout 20 bash -c 'until (exec 3<>/dev/tcp/127.0.0.1/%s); do :; done 2>/dev/null'" % port, reply=False)
        transport.global_request("tcpip-forward", ("127.0.0.1", int(port)))
        closed.wait(30)
        closed.clear()
        deadline = time.time() + 20
        while "open" not in trace and time.time() < deadline: # it may come after the end of who connects
            time.sleep(0.01)
        transport.global_request("cancel-tcpip-forward", ("127.0.0.1", int(port)))
        print(" ".join(word for word in trace if word in ("yes", "no", "open")))
        trace.clear()
    sys.exit()


def record_before(transport, name):
    kinds = {"_parse_request_success": "yes", "_parse_request_failure": "no", "_parse_channel_open": "open"}
    handle = getattr(transport, name)
    number = {"yes": MSG_REQUEST_SUCCESS, "no": MSG_REQUEST_FAILURE, "open": MSG_CHANNEL_OPEN}[kinds[name]]

    def handler(self, m):
        record(kinds[name])
        handle(m)
    transport._handler_table = {**transport._handler_table, number: handler}


transport = connect()
globals()[sys.argv[1]](transport)
print(" ".join(trace))
transport.close()
