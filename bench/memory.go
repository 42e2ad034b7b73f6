package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// firstConnections are made before the measurement: afterwards the program has
	// what it needs only once, such as room for the garbage of logins. With 25 first
	// connections, these needs added 40 KiB to each of the next hundred.
	firstConnections = 100

	// idleConnections are enough to stand out from what a Go program keeps anyway.
	idleConnections = 100

	// settled is how long memory must have stayed the same, to 1 %; settling is how
	// long that may take: a gateway gives memory back only after some quiet seconds.
	settled  = 5 * time.Second
	notYet   = 10 * time.Second
	settling = 40 * time.Second

	memoryFigure = "gateway memory, an idle connection with a pty"
)

// memory measures how much the two processes of an otherwise idle gateway keep for a
// connection with a shell in a terminal (see [gateway.memory]).
func memory(ctx context.Context, g *ground, d *door) (values, error) {
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
		for range n {
			client, err := d.idle(ctx, g, fresh.address)
			if err != nil {
				return err
			}
			open = append(open, client)
		}
		return fresh.settle(ctx)
	}
	if err := connect(firstConnections); err != nil {
		return nil, err
	}
	before := fresh.memory()
	if err := connect(idleConnections); err != nil {
		return nil, err
	}
	grown := fresh.memory() - before
	fresh.profileMemory(d.name)
	return values{memoryFigure: float64(grown) / idleConnections / 1024}, nil
}

// settle waits until the gateway's memory stays the same.
func (g *gateway) settle(ctx context.Context) error {
	last, since := g.memory(), time.Now()
	for began := time.Now(); (time.Since(since) < settled || time.Since(began) < notYet) && time.Since(began) < settling; {
		if err := sleep(ctx, time.Second/2); err != nil {
			return err
		}
		if now := g.memory(); now < last-last/100 || now > last+last/100 {
			last, since = now, time.Now()
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// idle opens a connection with a shell in a terminal.
func (d *door) idle(ctx context.Context, g *ground, address string) (*ssh.Client, error) {
	client, err := d.logIn(ctx, g, address)
	if err != nil {
		return nil, err
	}
	session, err := client.NewSession()
	if err == nil {
		_, err = session.StdinPipe() // keeps the input open
	}
	if err == nil {
		err = errors.Join(session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}), session.Shell())
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("a shell: %w", err)
	}
	return client, nil
}

// logIn returns a connection of x/crypto's client.
func (d *door) logIn(ctx context.Context, g *ground, address string) (*ssh.Client, error) {
	pem, err := os.ReadFile(g.key)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, err
	}
	return dial(ctx, address, &ssh.ClientConfig{
		User:            d.login,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the gateway is our own
	})
}

func dial(ctx context.Context, address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn, channels, requests, err := ssh.NewClientConn(raw, address, config)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}
