package boxes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// TestSlowLink sends much both ways and runs many short commands through a slow link to a
// box: no byte and no exit code is lost. make soak does so with 1 GiB and 1,000 commands,
// and with docker exec beside it, which takes an SSH connection for each command.
func TestSlowLink(t *testing.T) {
	b := engine.NewBox(t, "a100", harness.BaseImage(t))
	b.Run(t, "master")
	b.Behind(harness.Far().Start(t, b.Address))
	ssh := engine.SSH(t, b)
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGatewayBy(t, dir, fmt.Sprintf("docker: none\nboxes: { a100: { docker: %s } }\nusers: { dev: { keys: [ %s ], hosts: { master: root } } }\n",
		b.URL, harness.PublicKey(t, key)), harness.WithEnv(engine.Path(ssh)))
	to := g.Target(t, "slow", "dev+master", key)
	way := to.BySSH()
	way.Took(t, "the first login", "run true", "")
	way.Took(t, "one login", "run true", "")
	way.SendMuch(t, harness.Load(16, 1024))
	way.RunMany(t, harness.Load(40, 1000))
	if harness.Soaking() {
		docker := fmt.Sprintf(`PATH=%s:$PATH docker -H ssh://a100%s exec master sh -c "$1"`, ssh, strings.TrimPrefix(b.URL, "ssh://a100"))
		harness.Way{Target: to, Name: "docker exec", Run: docker, MayLose: true}.RunMany(t, 100)
	}
}
