package gpu

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestTheCardsOfThisBox tries what no stub can show: that real cards are handed out,
// by the engine that is here and NVIDIA's own container toolkit. It holds a card that
// is free for a minute, and leaves nothing behind. scripts/gpu-check runs it; where
// the engine knows no card by a CDI name it is skipped.
func TestTheCardsOfThisBox(t *testing.T) {
	b := newCards(t)
	for _, step := range []struct {
		name string
		try  func(*testing.T)
	}{
		{"doctor_finds_the_toolkit_and_the_CDI_names", b.doctor},
		{"a_host_that_reserves_one_holds_one", b.hold},
		{"it_sees_that_one_alone", b.seeOne},
		{"a_host_that_reserves_none_sees_none", b.seeNone},
		{"who_wants_more_than_are_left_is_told_who_holds_them", b.refuse},
		{"a_person_s_process_is_told_with_person_and_host", b.use},
		{"a_limit_that_changes_takes_no_card_away", b.limit},
		{"a_host_that_is_recreated_keeps_its_card", b.recreate},
		{"a_host_that_is_gone_holds_none", b.free},
		{"a_container_that_provision_did_not_make_holds_its_card", b.foreign},
	} {
		if !t.Run(step.name, step.try) {
			return // the next ones go on from it
		}
	}
}

// cards is this box, with a project of two hosts: holder reserves a card, bare none.
type cards struct {
	dir, project, image string
	held                string // UUID of holder's card
}

func newCards(t *testing.T) *cards {
	t.Helper()
	harness.NeedRoot(t)
	if _, err := exec.LookPath("nvidia-smi"); err != nil {
		t.Skip("no NVIDIA driver here")
	}
	harness.Need(t, "docker", "gcc", "ssh", "scp", "sftp", "ssh-keygen")
	if known := harness.Must(t, exec.Command("docker", "info", "--format", "{{json .DiscoveredDevices}}")); !strings.Contains(known, "nvidia.com/gpu=GPU-") {
		t.Skip("the engine knows no card by a CDI name; it takes Docker 28.2 or later, and: nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml")
	}
	b := &cards{dir: t.TempDir(), project: harness.HostName("cards"), image: harness.CUDAImage(t)}
	t.Cleanup(func() { b.provision("down", "--yes", "-p", b.project).Run() })
	b.write(t, "", "")
	return b
}

// write writes the project's file; holder has these other keys, and bare these.
func (b *cards) write(t *testing.T, holder, bare string) {
	t.Helper()
	const all = "image: %[2]s, network_mode: none, shm_size: 1g, stop_grace_period: 0s"
	harness.Write(t, filepath.Join(b.dir, "compose.yaml"), 0o644, fmt.Sprintf(
		"services:\n  holder: {"+all+", gpus: [{count: 1}], x-berth: {host: %[1]s-holder, account: dev}%[3]s}\n"+
			"  bare: {"+all+", x-berth: {host: %[1]s-bare, account: dev}%[4]s}\n", b.project, b.image, holder, bare))
}

func (b *cards) provision(args ...string) *exec.Cmd {
	return exec.Command(harness.Program("provision"), append(args, "--state", harness.StateOf(b.dir))...)
}

// up carries the project's file out, and returns what was said.
func (b *cards) up(t *testing.T) string {
	t.Helper()
	// An engine with containerd's store of images carries no files over.
	return harness.Must(t, b.provision("up", "--yes", "--fresh", "-p", b.project, "-f", filepath.Join(b.dir, "compose.yaml")))
}

// card is what provision gpus --json says of one.
type card struct {
	Index     string
	UUID      string
	Holders   []struct{ Host, Container string }
	Processes []struct {
		Name, Host, User string
		Memory           int64
		Foreign          bool
	}
}

func (b *cards) gpus(t *testing.T) (all []card) {
	t.Helper()
	if err := json.Unmarshal([]byte(harness.Must(t, b.provision("gpus", "--json"))), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// heldBy are the UUIDs of the cards that a host of the project holds.
func (b *cards) heldBy(t *testing.T, service string) (uuids []string) {
	t.Helper()
	for _, c := range b.gpus(t) {
		for _, h := range c.Holders {
			if h.Host == b.project+"-"+service {
				uuids = append(uuids, c.UUID)
			}
		}
	}
	return uuids
}

// in is what a command says in a host, past the gateway.
func (b *cards) in(service string, command ...string) (string, error) {
	out, err := exec.Command("docker", append([]string{"exec", b.container(service)}, command...)...).CombinedOutput()
	return string(out), err
}

func (b *cards) container(service string) string { return b.project + "-" + service + "-1" }

// listed are the UUIDs in what nvidia-smi -L says.
func listed(text string) []string {
	return regexp.MustCompile(`GPU-[0-9a-f-]{36}`).FindAllString(text, -1)
}

func (b *cards) doctor(t *testing.T) {
	out, _ := b.provision("doctor").CombinedOutput() // others' containers may have problems of their own
	t.Logf("%s", out)
	for _, bad := range []string{"container toolkit", "CDI specification", "cannot be counted", "of another driver", "cgroup driver"} {
		if strings.Contains(string(out), bad) {
			t.Errorf("it says %q", bad)
		}
	}
}

func (b *cards) hold(t *testing.T) {
	t.Log(b.up(t))
	held := b.heldBy(t, "holder")
	if len(held) != 1 || b.heldBy(t, "bare") != nil {
		t.Fatalf("holder holds %v, bare %v", held, b.heldBy(t, "bare"))
	}
	b.held = held[0]
	asked := harness.Must(t, exec.Command("docker", "inspect", "--format", "{{json .HostConfig.DeviceRequests}}", b.container("holder")))
	if !strings.Contains(asked, `"nvidia.com/gpu=`+b.held+`"`) {
		t.Errorf("the engine was asked for %s", asked)
	}
	t.Log(harness.Must(t, b.provision("gpus")))
}

func (b *cards) seeOne(t *testing.T) {
	t.Helper()
	out, err := b.in("holder", "nvidia-smi", "-L")
	if seen := listed(out); err != nil || len(seen) != 1 || seen[0] != b.held {
		t.Errorf("holder holds %s and sees %v, %s", b.held, err, out)
	}
	devices, err := b.in("holder", "ls", "/dev")
	if nodes := regexp.MustCompile(`(?m)^nvidia\d+$`).FindAllString(devices, -1); err != nil || len(nodes) != 1 {
		t.Errorf("its devices: %v\n%s", err, devices)
	}
}

func (b *cards) seeNone(t *testing.T) {
	if devices, err := b.in("bare", "ls", "/dev"); err != nil || strings.Contains(devices, "nvidia") {
		t.Errorf("its devices: %v\n%s", err, devices)
	}
	if out, err := b.in("bare", "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES; command -v nvidia-smi"); err == nil || out != "void\n" {
		t.Errorf("bare has %v, %q", err, out)
	}
	if out, err := b.in("bare", "take"); err == nil || !strings.Contains(out, "libcuda.so.1: cannot open") {
		t.Errorf("a program of CUDA in bare: %v, %q", err, out)
	}
}

func (b *cards) refuse(t *testing.T) {
	b.wantRefused(t, fmt.Sprintf("{count: %d}", len(b.gpus(t))), "host "+b.project+"-holder of project "+b.project)
}

// wantRefused wants a third host, of another project, to be refused these cards, and to
// be told who holds the card that was holder's.
func (b *cards) wantRefused(t *testing.T, cards, holder string) {
	t.Helper()
	file := filepath.Join(b.dir, "third.yaml")
	harness.Write(t, file, 0o644, fmt.Sprintf("services: {third: {image: %s, gpus: [%s], x-berth: {host: %s-third}}}\n", b.image, cards, b.project))
	out, err := b.provision("up", "--yes", "-p", b.project+"-third", "-f", file).CombinedOutput()
	if want := holder + " holds " + b.held; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v; want %q in\n%s", err, want, out)
	}
	t.Logf("%s", out)
}

// use has a person at a GPU, by the gateway.
func (b *cards) use(t *testing.T) {
	key := harness.MakeKey(t, b.dir, "id")
	g := harness.StartGateway(t, b.dir, fmt.Sprintf("docker: unix://%s\nusers: {anna: {keys: [ %s ], hosts: {%s-holder: dev}}}\n",
		harness.EngineSocket(t), harness.PublicKey(t, key), b.project))
	anna := g.Target(t, "anna", "anna+"+b.project+"-holder", key)
	if got := anna.Run(t, "ssh h nvidia-smi -L"); got.Exit != 0 || len(listed(got.Stdout)) != 1 || listed(got.Stdout)[0] != b.held {
		t.Errorf("anna sees %+v", got)
	}
	session := anna.Start(t, "exec ssh h take")
	if line := session.ReadLine(t); line != "of 1" {
		t.Fatalf("a program of CUDA sees %q", line)
	}
	const taken = 512 << 20
	c := b.heldCard(t)
	if len(c.Processes) != 1 {
		t.Fatalf("on the card: %+v", c)
	}
	if p := c.Processes[0]; p.Host != b.project+"-holder" || p.User != "anna" || p.Foreign || p.Memory < taken {
		t.Errorf("the process: %+v", p)
	}
	t.Log(harness.Must(t, b.provision("gpus")))
	b.measure(t, taken)
	b.keep(t)
	session.Stdin.Close()
	session.Wait(t)
	harness.Eventually(t, "the process is off the card", func() bool { return len(b.heldCard(t).Processes) == 0 })
}

func (b *cards) heldCard(t *testing.T) card {
	t.Helper()
	for _, c := range b.gpus(t) {
		if c.UUID == b.held {
			return c
		}
	}
	t.Fatalf("%s is gone", b.held)
	return card{}
}

// measure reads the numbers of the card, of which so many bytes are taken.
func (b *cards) measure(t *testing.T, taken float64) {
	t.Helper()
	address := harness.FreeAddress(t)
	harness.StartLogged(t, b.provision("metrics", "--listen", address, "--every", "1s"), filepath.Join(b.dir, "metrics.log"))
	harness.Eventually(t, "the numbers", func() bool { return harness.Answers(address) })
	text, _ := harness.Get(t, address, "/metrics")
	value := func(name string) (value float64) {
		line := regexp.MustCompile(`(?m)^` + name + `{gpu="\d+",uuid="` + b.held + `"} (\S+)$`).FindStringSubmatch(text)
		if line == nil {
			t.Fatalf("no %s in\n%s", name, text)
		}
		fmt.Sscan(line[1], &value)
		return value
	}
	holders, foreign, used := value("berth_gpu_holders"), value("berth_gpu_foreign"), value("berth_gpu_memory_used_bytes")
	if holders != 1 || foreign != 0 || used < taken {
		t.Errorf("%v holders, %v foreign, %v bytes used", holders, foreign, used)
	}
}

// keep wants a host kept as it is while a process of it is on the card.
func (b *cards) keep(t *testing.T) {
	t.Helper()
	b.write(t, ", environment: {X: changed}", "")
	defer b.write(t, "", "")
	plan := harness.Must(t, b.provision("plan", "-p", b.project, "-f", filepath.Join(b.dir, "compose.yaml")))
	if !strings.Contains(plan, "on "+b.held) {
		t.Errorf("the plan says nothing of the process on the card:\n%s", plan)
	}
}

// id is the container's of holder.
func (b *cards) id(t *testing.T) string {
	t.Helper()
	return harness.Must(t, exec.Command("docker", "inspect", "--format", "{{.Id}}", b.container("holder")))
}

func (b *cards) limit(t *testing.T) {
	before := b.id(t)
	b.write(t, ", mem_limit: 2g", "")
	b.up(t)
	if b.id(t) != before {
		t.Error("holder was recreated")
	}
	b.seeOne(t)
}

func (b *cards) recreate(t *testing.T) {
	before := b.id(t)
	b.write(t, ", mem_limit: 2g, environment: {X: changed}", "")
	b.up(t)
	if b.id(t) == before {
		t.Error("holder was not recreated")
	}
	b.seeOne(t)
}

func (b *cards) free(t *testing.T) {
	harness.Must(t, b.provision("down", "--yes", "-p", b.project))
	if c := b.heldCard(t); len(c.Holders) != 0 {
		t.Errorf("held by %+v", c.Holders)
	}
}

// foreign has a container that the docker command gave a card by its index.
func (b *cards) foreign(t *testing.T) {
	name := harness.RunContainer(t, "--network", "none", "--device", "nvidia.com/gpu="+b.heldCard(t).Index, b.image)
	if c := b.heldCard(t); len(c.Holders) != 1 || c.Holders[0].Container != name {
		t.Errorf("held by %+v, and %s has it", c.Holders, name)
	}
	t.Log(harness.Must(t, b.provision("gpus")))
	b.wantRefused(t, "{device_ids: ["+b.held+"]}", "container "+name+" (not provision's)")
}
