package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// growthLogins is the number of logins of which the median is taken.
const growthLogins = 15

// The sizes at which growth is measured.
func userSteps() []int { return []int{1, 1000, 10000} }
func hostSteps() []int { return []int{1, 100, 1000} }
func idleSteps() []int { return []int{100, 1000, 5000} }

// loginsAmongUsers measures a login at gateways with more and more users, each of
// whom has a key.
func loginsAmongUsers(ctx context.Context, g *ground, d *door) (values, error) {
	measured := values{}
	for _, users := range userSteps() {
		took, err := d.loginWith(ctx, g, users-1)
		if err != nil {
			return nil, err
		}
		measured[loginAmong(users, "users")] = took
	}
	return measured, nil
}

// loginsAmongHosts measures a login while there are more and more containers that are
// hosts by their labels.
func loginsAmongHosts(ctx context.Context, g *ground, d *door) (values, error) {
	measured := values{}
	var made []string
	defer func() {
		for len(made) > 0 {
			some := made[:min(len(made), 50)]
			exec.Command("docker", append([]string{"rm", "-f", "-v"}, some...)...).Run()
			made = made[len(some):]
		}
	}()
	image, err := output(ctx, "docker", "inspect", "-f", "{{.Image}}", host)
	if err != nil {
		return nil, err
	}
	for _, hosts := range hostSteps() {
		some, err := createHosts(ctx, image, len(made), hosts-1)
		made = append(made, some...)
		if err != nil {
			return nil, err
		}
		took, err := d.loginWith(ctx, g, 0)
		if err != nil {
			return nil, err
		}
		measured[loginAmong(hosts, "hosts")] = took
	}
	return measured, nil
}

// createHosts creates containers with the labels of hosts, numbered from first to
// last, several at once, and returns all that exist then.
func createHosts(ctx context.Context, image string, first, last int) (made []string, failed error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for worker := range clients {
		all.Go(func() {
			for number := first + worker; number < last; number += clients {
				name := fmt.Sprintf("%s-other-%d", project, number)
				id, err := output(ctx, "docker", "create", "--label", "berth.host="+name, image)
				mu.Lock()
				if err != nil {
					failed = err
				} else {
					made = append(made, id)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return made, failed
}

func loginAmong(n int, what string) string { return fmt.Sprintf("login among %d %s", n, what) }

// usersOfAFile is how many users are written into one file of users.d.
const usersOfAFile = 1000

// writeUsers writes this many users beside a gateway's configuration.
func writeUsers(dir string, users int, as *syscall.Credential) error {
	dir = filepath.Join(dir, "users.d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for file := range (users + usersOfAFile - 1) / usersOfAFile {
		text := []byte("users:\n")
		for i := file * usersOfAFile; i < min(users, (file+1)*usersOfAFile); i++ {
			text = fmt.Appendf(text, "  other%d: { keys: [ %q ], hosts: { exec: %s } }\n", i, someKey(), account)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", file)), text, 0o600); err != nil {
			return err
		}
	}
	return give(dir, as)
}

// give changes the owner of a directory and its content to the gateway's account.
func give(dir string, as *syscall.Credential) error {
	if as == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, int(as.Uid), int(as.Gid)))
	})
}

// loginWith returns the median time of a login at a gateway with this many additional
// users.
func (d *door) loginWith(ctx context.Context, g *ground, users int) (float64, error) {
	config, err := os.ReadFile(filepath.Join(d.gateway.dir, "gateway.yaml"))
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(g.dir, "growth-")
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), config, 0o600); err != nil {
		return 0, err
	}
	if err := errors.Join(writeUsers(dir, users, d.gateway.as), give(dir, d.gateway.as)); err != nil {
		return 0, err
	}
	grown, err := startGateway(ctx, d.gateway.program, dir, d.gateway.as)
	if err != nil {
		return 0, err
	}
	defer grown.stop()
	to, err := newDoor(dir, door{name: "grown", container: d.container, gateway: grown, login: d.login}, grown.address, g.key)
	if err != nil {
		return 0, err
	}
	if err := to.await(ctx); err != nil {
		return 0, err
	}
	var took []float64
	for range growthLogins {
		once, err := timed(to.ssh(ctx, "h", "true"))
		if err != nil {
			return 0, err
		}
		took = append(took, milliseconds(once))
	}
	return median(took), nil
}

// someKey returns the public half of a key whose private half is dropped.
func someKey() string {
	public, _, _ := ed25519.GenerateKey(nil) // cannot fail
	key, _ := ssh.NewPublicKey(public)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// manyIdle measures the memory that a gateway needs for each of more and more idle
// connections, as of ssh -N.
func manyIdle(ctx context.Context, g *ground, d *door) (values, error) {
	fresh, err := d.gateway.again(ctx)
	if err != nil {
		return nil, err
	}
	defer fresh.stop()
	var open []*ssh.Client
	defer func() {
		for _, client := range open {
			client.Close()
		}
	}()
	connect := func(n int) error {
		some, err := d.connectMany(ctx, g, fresh.address, n-len(open))
		open = append(open, some...)
		if err != nil {
			return err
		}
		return fresh.settle(ctx)
	}
	const warm = 25
	if err := connect(warm); err != nil { // for what is needed only once
		return nil, err
	}
	before := fresh.memory()
	measured := values{}
	for _, n := range idleSteps() {
		if err := connect(n); err != nil {
			return nil, err
		}
		measured[memoryAmong(n)] = float64(fresh.memory()-before) / float64(n-warm) / 1024
	}
	fresh.profileMemory(d.name + "-many")
	return measured, nil
}

func memoryAmong(n int) string { return fmt.Sprintf("gateway memory, each of %d idle connections", n) }

// connectMany logs in n times, eight at once.
func (d *door) connectMany(ctx context.Context, g *ground, address string, n int) (open []*ssh.Client, err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	todo := make(chan struct{})
	for range clients {
		all.Go(func() {
			for range todo {
				client, failed := d.logIn(ctx, g, address)
				mu.Lock()
				if failed != nil {
					err = failed
				} else {
					open = append(open, client)
				}
				mu.Unlock()
			}
		})
	}
	for range n {
		todo <- struct{}{}
	}
	close(todo)
	all.Wait()
	return open, err
}
