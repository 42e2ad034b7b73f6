package attack

import (
	"crypto/ed25519"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// The attack: somebody finds a fault in what parses the network, and has that process do
// what they like. Nothing that is worth stealing is in it.
func TestTheFrontHoldsNothingWorthStealing(t *testing.T) {
	t.Parallel()
	harness.Need(t, "ss")
	c := harness.StartContainer(t)
	hash := harness.HashOf(t, alicePassword)
	config := strings.Replace(c.Config(t), "    hosts:", "    password: "+hash+"\n    hosts:", 1)
	g := harness.StartGateway(t, c.Dir, config+"audit: {file: "+filepath.Join(c.Dir, "audit.jsonl")+"}\n")
	for _, login := range []string{"dev+" + c.Host, "dev+lab"} {
		person := harness.NewTarget(t, t.TempDir(), "person", g.Door(login, c.Key)).StartCat(t)
		person.WantLine(t, "is there")
		defer person.Kill()
	}
	front, keeper := g.Front(t), g.Keeper()

	t.Run("no_privilege", func(t *testing.T) {
		for name, want := range map[string]string{
			"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapBnd": "0000000000000000", "CapAmb": "0000000000000000",
			"NoNewPrivs": "1", "Seccomp": "2",
		} {
			if got := front.Status(t, name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if ids := strings.Fields(front.Status(t, "Uid") + " " + front.Status(t, "Gid") + " " + front.Status(t, "Groups")); os.Getuid() == 0 && slices.Contains(ids, "0") {
			t.Errorf("it is root's: %s", ids)
		}
	})
	t.Run("no_file", func(t *testing.T) {
		own := regexp.MustCompile(`^(socket:.*|pipe:.*|anon_inode:.*|/dev/null|/dev/ptmx|/dev/pts/ptmx|/sys/fs/cgroup/.*|` + regexp.QuoteMeta(c.Dir) + `/gateway\.log)$`)
		for _, open := range front.Open(t) {
			if !own.MatchString(open) {
				t.Errorf("it has %s", open)
			}
		}
	})
	t.Run("no_environment", func(t *testing.T) {
		for _, variable := range front.Environment() {
			if name, _, _ := strings.Cut(variable, "="); !slices.Contains([]string{"GOMEMLIMIT", "GOGC", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GORACE", "GOCOVERDIR", "TZ"}, name) {
				t.Errorf("it has %s", name)
			}
		}
	})
	t.Run("no_engine", func(t *testing.T) {
		engine := peersOf(t, "docker.sock")
		if !slices.ContainsFunc(keeper.Open(t), func(open string) bool { return slices.Contains(engine, open) }) {
			t.Errorf("the keeper has none of the engine's connections %s either", engine)
		}
		for _, open := range front.Open(t) {
			if slices.Contains(engine, open) {
				t.Errorf("it has a connection to the engine: %s", open)
			}
		}
	})
	t.Run("no_secret_in_its_memory", func(t *testing.T) {
		for name, secret := range map[string][]byte{
			"the host key": seedOf(t, c.Dir, "ssh_host_ed25519_key"), "the user CA": seedOf(t, c.Dir, "user_ca"), "the hash of a password": []byte(hash),
		} {
			if !keeper.Remembers(t, secret) {
				t.Errorf("not even the keeper has %s", name)
			}
			if front.Remembers(t, secret) {
				t.Errorf("it has %s", name)
			}
		}
	})
}

// peersOf are the sockets that are connected to one with a name.
func peersOf(t *testing.T, name string) (sockets []string) {
	t.Helper()
	for line := range strings.Lines(harness.Must(t, exec.Command("ss", "-xnH", "state", "connected"))) {
		// u_str 0 0 /run/docker.sock 12 * 34
		if words := strings.Fields(line); strings.Contains(line, name) && len(words) > 3 {
			sockets = append(sockets, "socket:["+words[len(words)-1]+"]")
		}
	}
	return sockets
}

// seedOf is the private half of a key in the state directory.
func seedOf(t *testing.T, dir, file string) []byte {
	t.Helper()
	key, err := ssh.ParseRawPrivateKey([]byte(harness.Read(t, filepath.Join(harness.StateOf(dir), file))))
	if err != nil {
		t.Fatal(err)
	}
	return (*key.(*ed25519.PrivateKey)).Seed()
}

// The attack: somebody can end the process that parses the network, by a fault in it.
// Its connections end, and nothing else: the next ones are served by another one.
func TestACrashOfTheFrontEndsItsConnectionsAndNothingElse(t *testing.T) {
	t.Parallel()
	c := harness.StartContainer(t)
	g := harness.StartGateway(t, c.Dir, c.Config(t))
	for range 2 {
		person := harness.NewTarget(t, t.TempDir(), "person", g.Door("dev+"+c.Host, c.Key))
		cat := person.StartCat(t)
		cat.WantLine(t, "is there")
		front := g.Front(t)
		if err := syscall.Kill(int(front), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		cat.Wait(t)
		person.Want(t, "ssh h echo in", "in\n") // who comes meanwhile waits
		if g.Front(t) == front {
			t.Error("it is the former front still")
		}
		harness.Eventually(t, "what ran in the host ends", func() bool { return !strings.Contains(c.Run(t, "ps", "-eo", "args"), "\ncat\n") })
	}
	g.AwaitRecord(t, "the front has ended, and the connections that it served; another one is started")
}

// A keeper that is killed takes its front with it, so that another gateway finds the
// port free, and nobody works unseen.
func TestNoFrontOutlivesItsKeeper(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := harness.StartGateway(t, dir, "users:\n  dev:\n    password: "+harness.HashOf(t, alicePassword)+"\n    hosts: {a: }\n")
	front := g.Front(t)
	g.Signal(syscall.SIGKILL)
	harness.Eventually(t, "the front ends", front.IsGone)
}
