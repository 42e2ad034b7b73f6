package test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// engineProxy stands between a gateway and its engine, and can fail as
// engines and the proxies before them do.
type engineProxy struct {
	socket string

	mu    sync.Mutex
	hangs bool
	conns []net.Conn
	asked bytes.Buffer // all that the gateway sent
}

func startEngineProxy(t *testing.T, dir string) *engineProxy {
	t.Helper()
	p := &engineProxy{socket: filepath.Join(dir, "engine.sock")}
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.Close()
		p.cut()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn)
			if !p.hangs {
				go passOn(recorded{conn, p})
			}
			p.mu.Unlock()
		}
	}()
	return p
}

// recorded is a connection of the gateway's that is written down.
type recorded struct {
	net.Conn
	proxy *engineProxy
}

func (r recorded) Read(buf []byte) (int, error) {
	n, err := r.Conn.Read(buf)
	r.proxy.mu.Lock()
	defer r.proxy.mu.Unlock()
	r.proxy.asked.Write(buf[:n])
	return n, err
}

// hang has new connections get no answer, until it is told otherwise.
func (p *engineProxy) hang(hangs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangs = hangs
}

// cut cuts every connection that there is.
func (p *engineProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

func (p *engineProxy) whatWasAsked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked.String()
}

// TestEngineFaults has sessions go on whatever befalls the engine.
func TestEngineFaults(t *testing.T) {
	base := baseImage(t)
	dir := t.TempDir()
	proxy := startEngineProxy(t, dir)
	key, host := makeKey(t, dir, "id"), caseHost("faults")
	g := startGateway(t, dir, fmt.Sprintf("docker: unix://%s\nusers:\n  dev: { keys: [ %s ], hosts: { %s: root } }\n",
		proxy.socket, publicKey(t, key), host))
	name := runContainer(t, "--label", "berth.host="+host, "-v", filepath.Dir(helperFile(t, dir))+":/usr/lib/berth:ro", base, "sleep", "infinity")
	to := g.target(t, "exec", "dev+"+host, key)

	t.Run("an_exec_has_no_tty_and_no_secret", func(t *testing.T) {
		to.want(t, "ssh -tt h tty >/dev/null </dev/null; echo $?", "0\n")
		asked := proxy.whatWasAsked()
		if !strings.Contains(asked, "/exec HTTP") || regexp.MustCompile(`(?i)"tty": *true`).MatchString(asked) {
			t.Errorf("no exec, or one with a TTY, in what the engine was asked:\n%s", brief(asked))
		}
		allowed := regexp.MustCompile(`^exec_create: /usr/lib/berth/[0-9a-f]{64} helper run --socket /usr/lib/berth/gateway-[A-Z0-9]{8}\.sock ?$`)
		events := execsOf(t, name)
		if len(events) == 0 {
			t.Error("no exec in the engine's events")
		}
		for _, event := range events {
			if !allowed.MatchString(event) {
				t.Errorf("the engine's events tell %q", event)
			}
		}
	})
	t.Run("sessions_outlive_connections_to_the_engine", func(t *testing.T) {
		session := to.startCat(t)
		proxy.cut()
		session.wantEcho(t, "after the cut")
	})
	t.Run("an_engine_that_hangs_is_told_of", func(t *testing.T) {
		session := to.startCat(t)
		proxy.hang(true)
		proxy.cut()
		got := to.run(t, "ssh h true")
		if got.exit != 255 || !strings.Contains(got.stderr, "the engine does not answer") {
			t.Errorf("exit %d, stderr %s", got.exit, brief(got.stderr))
		}
		session.wantEcho(t, "while it hangs")
		proxy.hang(false)
		await(t, "a login", func() bool { return to.run(t, "ssh h true").exit == 0 })
	})
	t.Run("streams_that_are_cut_end_their_sessions_only", func(t *testing.T) {
		session := to.startCat(t)
		g.cutStreams(t, key)
		session.wantEcho(t, "after the cut")
	})
}

// cutStreams has a gateway that no descriptor reaches lose its streams.
func (g *gateway) cutStreams(t *testing.T, key string) {
	t.Helper()
	certificates, address := startTLSEngine(t)
	cutter := startCutter(t, address)
	dir, host := t.TempDir(), caseHost("streamed")
	streamed := startGatewayBy(t, dir, fmt.Sprintf("docker: tcp://%s\nusers:\n  dev: { keys: [ %s ], hosts: { %s: root } }\n",
		cutter.address, publicKey(t, key), host), withEnv("DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+certificates))
	runContainer(t, "--label", "berth.host="+host, baseImage(t), "sleep", "infinity")
	to := streamed.target(t, "streams", "dev+"+host, key)
	m := mark()
	told := filepath.Join(dir, "told")
	session := to.start(t, `exec ssh -tt h "sleep `+m+`" 2>`+told)
	awaitMarked(t, m)
	cutter.cut()
	if status := session.wait(t); status != 255 || !strings.Contains(read(t, told), "has gone away") {
		t.Errorf("exit %d, told %s", status, brief(read(t, told)))
	}
	awaitNoneMarked(t, m)
	to.want(t, "ssh h 'echo again'", "again\n")
}

// cutter is a proxy whose connections can be cut.
type cutter struct {
	address string

	mu    sync.Mutex
	conns []net.Conn
}

func startCutter(t *testing.T, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{address: listener.Addr().String()}
	t.Cleanup(func() {
		listener.Close()
		c.cut()
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, near, far)
			c.mu.Unlock()
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					io.Copy(pair[0], pair[1])
					pair[0].(*net.TCPConn).CloseWrite()
				}()
			}
		}
	}()
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// startCat starts a session that answers what it is told.
func (to target) startCat(t *testing.T) *client {
	t.Helper()
	session := to.start(t, "exec ssh h cat")
	session.wantEcho(t, "hello")
	return session
}

func (c *client) wantEcho(t *testing.T, line string) {
	t.Helper()
	io.WriteString(c.stdin, line+"\n")
	got := make([]byte, len(line)+1)
	if _, err := io.ReadFull(c.stdout, got); err != nil || string(got) != line+"\n" {
		t.Errorf("got %q, %v, want %q", got, err, line)
	}
}

// execsOf are the execs that the engine tells of a container.
func execsOf(t *testing.T, container string) []string {
	t.Helper()
	out := must(t, exec.Command("docker", "events", "--since", "10m", "--until", fmt.Sprint(time.Now().Unix()+1), "--filter", "container="+container, "--format", "{{.Action}}"))
	var execs []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "exec_create") {
			execs = append(execs, strings.TrimSpace(line))
		}
	}
	return execs
}

// TestEngineRestart restarts an engine of its own that leaves its containers
// alone meanwhile (live-restore).
func TestEngineRestart(t *testing.T) {
	need(t, "dockerd", "ssh", "busybox", "musl-gcc")
	if os.Getuid() != 0 {
		missing(t, "only root can start an engine")
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "image.tar")
	must(t, exec.Command("docker", "save", "-o", image, tinyImage(t)))
	tag := strings.TrimSpace(must(t, exec.Command("docker", "inspect", "-f", "{{index .RepoTags 0}}", fmt.Sprintf("berth-test/tiny:%d", os.Getpid()))))
	socket := filepath.Join(dir, "docker.sock")
	t.Cleanup(func() { exec.Command("sh", "-c", `umount -l "$0"/exec/netns/* "$0"/data`, dir).Run() })
	engine := startEngine(t, dir, socket)
	docker := func(args ...string) *exec.Cmd {
		return exec.Command("docker", append([]string{"-H", "unix://" + socket}, args...)...)
	}
	must(t, docker("load", "-q", "-i", image))
	key := makeKey(t, dir, "id")
	g := startGateway(t, dir, fmt.Sprintf("docker: unix://%s\nusers:\n  dev: { keys: [ %s ], hosts: { lab: dev } }\n", socket, publicKey(t, key)))
	must(t, docker("run", "-d", "--name", "lab", "--label", "berth.host=lab", "--network", "none", "-v", filepath.Dir(helperFile(t, dir))+":/usr/lib/berth:ro", tag))
	to := g.target(t, "exec", "dev+lab", key)
	session := to.startCat(t)
	engine.Process.Signal(syscall.SIGTERM)
	engine.Wait()
	session.wantEcho(t, "without an engine")
	startEngine(t, dir, socket)
	t.Cleanup(func() { must(t, docker("rm", "-f", "lab")) })
	session.wantEcho(t, "with another")
	await(t, "a login", func() bool { return to.run(t, "ssh h true").exit == 0 })
}

// startEngine starts an engine that needs nothing of the one that tests use.
func startEngine(t *testing.T, dir, socket string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(dir, "dockerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	engine := exec.Command("dockerd", "--live-restore", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--storage-driver", "vfs",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "dockerd.pid"), "-H", "unix://"+socket)
	engine.Stdout, engine.Stderr = log, log
	// In a network of its own: without a bridge to itself, an engine removes docker0.
	engine.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		engine.Process.Signal(syscall.SIGTERM)
		engine.Wait()
		if t.Failed() {
			t.Log(read(t, log.Name()))
		}
	})
	await(t, "the engine", func() bool {
		return exec.Command("docker", "-H", "unix://"+socket, "version").Run() == nil
	})
	return engine
}
