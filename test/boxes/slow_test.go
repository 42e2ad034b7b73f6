package boxes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// slow is a link across a continent.
var slow = harness.SlowLink{Rate: 5 << 20, Delay: 50 * time.Millisecond}

// TestSlowLink sends much both ways and runs many short commands through a slow link to a
// box: no byte and no exit code is lost. make soak does so with 1 GiB and 1,000 commands,
// and with docker exec beside it, which takes an SSH connection for each command.
func TestSlowLink(t *testing.T) {
	size, commands := "16M", 40
	if harness.Soaking() {
		size, commands = "1G", 1000
	}
	b := engine.NewBox(t, "a100", harness.BaseImage(t))
	b.Run(t, "master")
	b.Behind(slow.Start(t, b.Address))
	ssh := engine.SSH(t, b)
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGatewayBy(t, dir, fmt.Sprintf("docker: none\nboxes: { a100: { docker: %s } }\nusers: { dev: { keys: [ %s ], hosts: { master: root } } }\n",
		b.URL, harness.PublicKey(t, key)), harness.WithEnv(engine.Path(ssh)))
	to := g.Target(t, "slow", "dev+master", key)
	took := func(what, script string, want string) {
		t.Helper()
		began := time.Now()
		to.Want(t, script, want, "SIZE="+size, fmt.Sprintf("COMMANDS=%d", commands), "BOX="+ssh)
		t.Logf("%s: %.1f s", what, time.Since(began).Seconds())
	}
	took("the first login", `ssh h true`, "")
	took("one login", `ssh h true`, "")
	took(size+" up", `head -c $SIZE /dev/urandom >f; [ "$(sha256sum <f)" = "$(ssh h sha256sum <f)" ] && echo same`, "same\n")
	took(size+" down", `ssh h "head -c $SIZE /dev/urandom | tee /tmp/f"  >f; [ "$(sha256sum <f)" = "$(ssh h 'sha256sum </tmp/f; rm /tmp/f')" ] && echo same`, "same\n")
	took(fmt.Sprint(commands, " commands, 4 at a time"), each(`ssh h "echo $i; exit $((i % 200))"`), "")
	if harness.Soaking() {
		commands /= 10
		took(fmt.Sprint(commands, " commands by docker exec"), each(`PATH=$BOX:$PATH docker -H ssh://a100`+strings.TrimPrefix(b.URL, "ssh://a100")+` exec master sh -c "echo $i; exit $((i % 200))"`), "")
	}
}

// each runs a command for each of the numbers, which must say and end with its own.
func each(command string) string {
	return `one() { i=$1; got=$(` + command + `); code=$?; [ "$got" = $i ] && [ $code = $((i % 200)) ] || echo "$i: $got, $code"; }
export -f one
seq $COMMANDS | xargs -P 4 -I % bash -c 'one %'`
}
