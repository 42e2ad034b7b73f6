import asyncio, os, sys
import asyncssh

env = os.environ


class Asked(asyncssh.SSHClient):
    def kbdint_auth_requested(self):
        return "" if "CODE" in env else None

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        return [env["CODE"] for _ in prompts]


def connect():
    keys = [env["KEY"]] if "KEY" in env else None
    return asyncssh.connect(
        env["HOST"], int(env["PORT"]), username=env["LOGIN"], password=env.get("PASSWORD"),
        client_factory=Asked, client_keys=keys, known_hosts=env["KNOWN_HOSTS"], agent_path=None, config=None,
    )


async def exec():
    async with connect() as conn:
        ended = await conn.run(env["COMMAND"], input=sys.stdin.read())
        sys.stdout.write(ended.stdout)
        sys.stderr.write(ended.stderr)
        return ended.exit_status


async def shell():
    async with connect() as conn:
        ended = await conn.run(term_type="xterm", term_size=(80, 24), input=env["TYPED"] + "\n")
        sys.stdout.write(ended.stdout)
        return ended.exit_status


async def sftp():
    async with connect() as conn, conn.start_sftp_client() as files:
        await files.put("up", env["FAR"])
        await files.get(env["FAR"], "down")


async def scp():
    async with connect() as conn:
        await asyncssh.scp("up", (conn, env["FAR"]))
        await asyncssh.scp((conn, env["FAR"]), "down")


async def forward():
    async with connect() as conn:
        await conn.forward_local_port("127.0.0.1", int(env["NEAR_PORT"]), "127.0.0.1", int(env["FAR_PORT"]))
        await conn.wait_closed()


async def version():
    print("asyncssh", asyncssh.__version__)


sys.exit(asyncio.run(globals()[sys.argv[1]]()))
