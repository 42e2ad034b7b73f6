package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	files       = 2000 // that rsync copies
	keystrokes  = 500  // at most, and as many as go into
	typingFor   = 2 * time.Second
	clients     = 8
	connectsFor = 3 * time.Second

	loginsAtOnce = 200
)

// timed runs a command and returns how long it took.
func timed(command *exec.Cmd) (time.Duration, error) {
	began := time.Now()
	if err := command.Run(); err != nil {
		return 0, explain(command, err)
	}
	return time.Since(began), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// login measures a new connection with one command, to its end.
func login(ctx context.Context, _ *ground, d *door) (values, error) {
	took, err := timed(d.ssh(ctx, "h", "true"))
	return values{"login": milliseconds(took)}, err
}

// bulk copies zeros in both directions, over an open connection.
func bulk(ctx context.Context, g *ground, d *door, name string, options ...string) (values, error) {
	client, stop, err := d.connect(ctx, options...)
	if err != nil {
		return nil, err
	}
	defer stop()
	zeros, err := os.Open(g.zeros)
	if err != nil {
		return nil, err
	}
	defer zeros.Close()

	measured := values{}
	up := d.ssh(ctx, "-S", d.control, "h", "cat >/dev/null")
	up.Stdin = zeros
	down := d.ssh(ctx, "-S", d.control, "h", fmt.Sprintf("head -c %d /dev/zero", g.bytes))
	for direction, command := range map[string]*exec.Cmd{"up": up, "down": down} {
		finish := d.gateway.profile(fmt.Sprintf("%s-%s-%s", d.name, direction, name))
		before, err := g.cpuTimes(ctx, d, client)
		if err != nil {
			return nil, err
		}
		took, err := timed(command)
		finish()
		if err != nil {
			return nil, err
		}
		after, err := g.cpuTimes(ctx, d, client)
		if err != nil {
			return nil, err
		}
		measured["bulk "+direction+", "+name] = g.megabytes() / took.Seconds()
		for who, cost := range after.since(before, g.megabytes()/1e3) {
			measured[cpuFigure(who, direction, name)] = cost
		}
	}
	return measured, nil
}

// cpuFigure returns the name of a figure.
func cpuFigure(who, direction, ciphers string) string {
	return fmt.Sprintf("CPU of the %s, %s, %s", who, direction, ciphers)
}

// engineAlone copies zeros with the engine's own client, without a gateway and
// without SSH. It is only for routes that go through the engine.
func engineAlone(ctx context.Context, g *ground, d *door) (values, error) {
	if !d.throughEngine {
		return nil, nil
	}
	zeros, err := os.Open(g.zeros)
	if err != nil {
		return nil, err
	}
	defer zeros.Close()
	up := exec.CommandContext(ctx, "docker", "exec", "-i", d.container, "sh", "-c", "cat >/dev/null")
	up.Stdin = zeros
	down := exec.CommandContext(ctx, "docker", "exec", d.container, "head", "-c", fmt.Sprint(g.bytes), "/dev/zero")
	measured := values{}
	for direction, command := range map[string]*exec.Cmd{"up": up, "down": down} {
		before := engineTime()
		took, err := timed(command)
		if err != nil {
			return nil, err
		}
		measured[engineAloneFigure(direction)] = g.megabytes() / took.Seconds()
		measured[cpuFigure("engine", direction, "engine alone")] = (engineTime() - before).Seconds() / (g.megabytes() / 1e3)
	}
	return measured, nil
}

// engineAloneFigure returns the name of a figure.
func engineAloneFigure(direction string) string { return "bulk " + direction + ", engine alone" }

// scp copies a file to the container's memory, and back.
func scp(ctx context.Context, g *ground, d *door) (values, error) {
	back := filepath.Join(g.dir, "back")
	defer os.Remove(back)
	up, err := timed(d.command(ctx, "scp", "-q", g.zeros, "h:/dev/shm/bench"))
	if err != nil {
		return nil, err
	}
	down, err := timed(d.command(ctx, "scp", "-q", "h:/dev/shm/bench", back))
	if err != nil {
		return nil, err
	}
	_, err = timed(d.ssh(ctx, "h", "rm /dev/shm/bench"))
	return values{"scp up": g.megabytes() / up.Seconds(), "scp down": g.megabytes() / down.Seconds()}, err
}

// rsync copies many small files into an empty directory.
func rsync(ctx context.Context, g *ground, d *door) (values, error) {
	command := exec.CommandContext(ctx, "rsync", "-a", "-e", "ssh -F "+d.config, g.tree+"/", "h:/dev/shm/tree")
	took, err := timed(command)
	if err != nil {
		return nil, err
	}
	_, err = timed(d.ssh(ctx, "h", "rm -r /dev/shm/tree"))
	return values{"rsync of 2,000 files": milliseconds(took)}, err
}

// echo measures the time from a key to its echo by the terminal in the container.
func echo(ctx context.Context, _ *ground, d *door) (values, error) {
	median, err := d.medianEcho(ctx, nil)
	return values{"keystroke echo, p50": median}, err
}

// echoBesideCopy measures the same while another connection copies at full rate, and
// then while the same connection does.
func echoBesideCopy(ctx context.Context, _ *ground, d *door) (values, error) {
	beside, err := d.echoWhile(ctx, d.ssh(ctx, "h", "cat /dev/zero"))
	if err != nil {
		return nil, err
	}
	_, stop, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	same, err := d.echoWhile(ctx, d.ssh(ctx, "-S", d.control, "h", "cat /dev/zero"), "-S", d.control)
	return values{"keystroke echo beside a copy, p50": beside, "keystroke echo beside a copy on the same connection, p50": same}, err
}

// echoWhile returns the median echo while a command runs, which it then ends.
func (d *door) echoWhile(ctx context.Context, command *exec.Cmd, options ...string) (float64, error) {
	if err := command.Start(); err != nil {
		return 0, err
	}
	defer command.Wait()
	defer command.Process.Kill()
	return d.medianEcho(ctx, nil, options...)
}

// echoDuringLogins measures the median echo while 200 other clients log in at once.
// Not every door accepts all of them.
func echoDuringLogins(ctx context.Context, _ *ground, d *door) (values, error) {
	var all sync.WaitGroup
	over := make(chan struct{})
	median, err := d.medianEcho(ctx, func(key int) (goOn bool) {
		if key == 0 {
			for range loginsAtOnce {
				all.Go(func() { d.ssh(ctx, "h", "true").Run() })
			}
			go func() {
				all.Wait()
				close(over)
			}()
		}
		select {
		case <-over:
			return false
		default:
			return true
		}
	})
	all.Wait()
	return values{"keystroke echo during 200 logins, p50": median}, err
}

// medianEcho types until goOn returns false or enough keys were typed, and returns
// the median echo. goOn may be nil.
func (d *door) medianEcho(ctx context.Context, goOn func(key int) bool, options ...string) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	command := d.ssh(ctx, append(options, "-tt", "h", "echo ready; exec cat")...)
	in, err := command.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := command.Start(); err != nil {
		return 0, err
	}
	defer command.Wait()
	defer cancel()

	screen := bufio.NewReader(out)
	if _, err := screen.ReadString('\n'); err != nil {
		return 0, err
	}
	var took []float64
	start := time.Now()
	for key := 0; key < keystrokes && time.Since(start) < typingFor && (goOn == nil || goOn(key)); key++ {
		began := time.Now()
		if _, err := io.WriteString(in, "x"); err != nil {
			return 0, err
		}
		if _, err := screen.ReadByte(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(began).Nanoseconds())/1e3)
	}
	return median(took), nil
}

// connections measures how many new connections several clients make in a second.
func connections(ctx context.Context, _ *ground, d *door) (values, error) {
	var made atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	began := time.Now()
	for range clients {
		all.Go(func() {
			for time.Since(began) < connectsFor {
				if _, err := timed(d.ssh(ctx, "h", "true")); err != nil {
					failed.Store(&err)
					return
				}
				made.Add(1)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return values{"connections a second, 8 clients": float64(made.Load()) / time.Since(began).Seconds()}, nil
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
