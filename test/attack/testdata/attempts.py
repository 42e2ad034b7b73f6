# One connection, any login attempts: a port, and on standard input a JSON list
# of attempts. Prints what the server answers to each, and after a success what
# the command "echo in" comes to.
#
# The messages are sent by hand (RFC 4252), because a library would not change
# the user between attempts, or ask about a key that it does not have.
import base64, json, queue, sys
import paramiko
from paramiko.common import (
    cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST, MSG_SERVICE_ACCEPT,
    MSG_USERAUTH_BANNER, MSG_USERAUTH_FAILURE, MSG_USERAUTH_PK_OK, MSG_USERAUTH_SUCCESS,
)

ALGORITHM = "ssh-ed25519"


class Answers:
    def __init__(self):
        self.queue = queue.Queue()
        self._handler_table = {
            MSG_SERVICE_ACCEPT: lambda _, m: self.queue.put("accepted"),
            MSG_USERAUTH_BANNER: lambda _, m: self.queue.put("banner " + m.get_text()),
            MSG_USERAUTH_FAILURE: lambda _, m: self.queue.put("failure " + m.get_text()),
            MSG_USERAUTH_PK_OK: lambda _, m: self.queue.put("known"),
            MSG_USERAUTH_SUCCESS: lambda _, m: self.queue.put("success"),
        }

    def is_authenticated(self):
        return True

    def abort(self):
        self.queue.put("closed")


def request(user, method):
    m = paramiko.Message()
    m.add_byte(cMSG_USERAUTH_REQUEST)
    m.add_string(user)
    m.add_string("ssh-connection")
    m.add_string(method)
    return m


def password(transport, user, attempt):
    m = request(user, "password")
    m.add_boolean(False)
    m.add_string(attempt["password"])
    return m


def query(transport, user, attempt):
    m = request(user, "publickey")
    m.add_boolean(False)
    m.add_string(ALGORITHM)
    m.add_string(base64.b64decode(attempt["key"]))
    return m


def sign(transport, user, attempt):
    key = paramiko.Ed25519Key.from_private_key_file(attempt["file"])
    m = request(user, "publickey")
    m.add_boolean(True)
    m.add_string(ALGORITHM)
    m.add_string(key.asbytes())
    signed = paramiko.Message()
    signed.add_string(transport.session_id)
    signed.add_bytes(m.asbytes())
    m.add_string(key.sign_ssh_data(signed.asbytes()).asbytes())
    return m


def enter(transport):
    try:
        channel = transport.open_session(timeout=20)
        channel.exec_command("echo in")
        out = channel.makefile().read().decode()
        err = channel.makefile_stderr().read().decode()
        return out + err + "exit %d" % channel.recv_exit_status()
    except (paramiko.SSHException, EOFError) as e:
        return "no session: %s" % e


def main():
    transport = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
    transport.start_client(timeout=20)
    answers = transport.auth_handler = Answers()
    m = paramiko.Message()
    m.add_byte(cMSG_SERVICE_REQUEST)
    m.add_string("ssh-userauth")
    transport._send_message(m)
    answers.queue.get(timeout=20)
    for attempt in json.load(sys.stdin):
        user = base64.b64decode(attempt["user"])
        transport._send_message(globals()[attempt["method"]](transport, user, attempt))
        answer = answers.queue.get(timeout=20)
        print(answer)
        if answer == "success":
            print(enter(transport))
        if answer in ("success", "closed"):
            break
    transport.close()


main()
