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
	keystrokes  = 500
	clients     = 8
	connectsFor = 3 * time.Second
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

// login is a new connection, a command and its end.
func login(ctx context.Context, _ *ground, d *door) (values, error) {
	took, err := timed(d.ssh(ctx, "h", "true"))
	return values{"login": milliseconds(took)}, err
}

// bulk copies zeros in both directions, over a connection that is there.
func bulk(ctx context.Context, g *ground, d *door, name string, options ...string) (values, error) {
	stop, err := d.connect(ctx, options...)
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
		before := d.gateway.cpu()
		took, err := timed(command)
		finish()
		if err != nil {
			return nil, err
		}
		measured["bulk "+direction+", "+name] = g.megabytes() / took.Seconds()
		if d.gateway != nil {
			measured["gateway CPU, "+direction+", "+name] = (d.gateway.cpu() - before).Seconds() / (g.megabytes() / 1e3)
		}
	}
	return measured, nil
}

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

// rsync copies many small files to where there are none.
func rsync(ctx context.Context, g *ground, d *door) (values, error) {
	command := exec.CommandContext(ctx, "rsync", "-a", "-e", "ssh -F "+d.config, g.tree+"/", "h:/dev/shm/tree")
	took, err := timed(command)
	if err != nil {
		return nil, err
	}
	_, err = timed(d.ssh(ctx, "h", "rm -r /dev/shm/tree"))
	return values{"rsync of 2,000 files": milliseconds(took)}, err
}

// echo is the time from a key to its echo by the terminal in the container.
func echo(ctx context.Context, _ *ground, d *door) (values, error) {
	median, err := medianEcho(ctx, d)
	return values{"keystroke echo, p50": median}, err
}

// echoBesideCopy is the same while another connection copies at full rate.
func echoBesideCopy(ctx context.Context, g *ground, d *door) (values, error) {
	ctx, cancel := context.WithCancel(ctx)
	copying := d.ssh(ctx, "h", "cat /dev/zero")
	if err := copying.Start(); err != nil {
		cancel()
		return nil, err
	}
	median, err := medianEcho(ctx, d)
	cancel()
	copying.Wait()
	return values{"keystroke echo beside a copy, p50": median}, err
}

func medianEcho(ctx context.Context, d *door) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	command := d.ssh(ctx, "-tt", "h", "echo ready; exec cat")
	in, err := command.StdinPipe()
	if err != nil {
		cancel()
		return 0, err
	}
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return 0, err
	}
	defer command.Wait()
	defer cancel()

	screen := bufio.NewReader(out)
	if _, err := screen.ReadString('\n'); err != nil {
		return 0, err
	}
	took := make([]float64, keystrokes)
	for i := range took {
		began := time.Now()
		if _, err := io.WriteString(in, "x"); err != nil {
			return 0, err
		}
		if _, err := screen.ReadByte(); err != nil {
			return 0, err
		}
		took[i] = float64(time.Since(began).Nanoseconds()) / 1e3
	}
	return median(took), nil
}

// connections is how many new connections a second several clients make.
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
