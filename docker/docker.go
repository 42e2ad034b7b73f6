// Package docker connects to a Docker engine, wherever the docker command would: to a
// socket, by TCP and TLS, or by ssh ([Connect], [Dial]). It also runs commands in
// containers ([Start], [Output]). For everything else use the engine's own client.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/trust"
)

// Address says where an engine is.
type Address struct {
	URL string // as docker knows it: unix://, tcp:// or ssh://; "": as the docker command finds it
	TLS string // directory of ca.pem, cert.pem and key.pem for tcp://; "": as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say
}

// Env returns the variables by which the docker command finds the engine; none if it
// finds the engine without them.
func (a Address) Env() []string {
	var env []string
	if a.URL != "" {
		env = append(env, "DOCKER_HOST="+a.URL, "DOCKER_CONTEXT=")
	}
	if a.TLS != "" {
		env = append(env, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+a.TLS)
	}
	return env
}

// Engine is a client of an engine. Close ends everything that it opened, also the ssh
// command's connection.
type Engine struct {
	*client.Client
	link *link // nil if the engine is not reached by ssh
}

// Close ends the ssh connection with all calls on it, or, without ssh, the idle
// connections.
func (e *Engine) Close() error {
	err := e.Client.Close()
	if e.link != nil {
		e.link.close()
	}
	return err
}

// Explain returns why a call to an engine failed: ssh's own message if ssh has
// failed, which the engine's client hides, or else err.
func (e *Engine) Explain(err error) error {
	if err == nil || e.link == nil {
		return err
	}
	if why := e.link.complaint(); why != "" {
		return &LinkError{e.link.box, why}
	}
	return err
}

// Connect returns a client of the engine at the address, or else of the engine that
// the docker command would use: by DOCKER_HOST, by the Docker context, or at the
// usual socket. An engine at ssh:// is reached by the ssh command, which is run once
// for all calls. Connect does not wait for an answer of the engine.
func Connect(a Address) (*Engine, error) {
	address := cmp.Or(a.URL, os.Getenv("DOCKER_HOST"))
	options := []client.Opt{client.FromEnv}
	if address == "" {
		of, more, err := currentContext()
		if err != nil {
			return nil, err
		}
		if of != "" {
			address, options = of, more
		}
	}
	var over *link
	switch scheme, _, _ := strings.Cut(address, "://"); {
	case scheme == "ssh":
		var err error
		if over, err = newLink(address); err != nil {
			return nil, fmt.Errorf("docker: %w", err)
		}
		options = []client.Opt{client.WithHost("tcp://" + over.host), client.WithDialContext(over.dial)}
	case scheme == "tcp" && a.TLS != "":
		options = []client.Opt{client.WithHost(address), client.WithDialContext(dialTLS(a.TLS))}
	case address != "":
		options = append(options, client.WithHost(address))
	}
	engine, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	return &Engine{engine, over}, nil
}

// Dial is [Connect], but waits for an answer of the engine. Its errors say what to
// do.
func Dial(ctx context.Context, a Address) (*Engine, error) {
	engine, err := Connect(a)
	if err != nil {
		return nil, err
	}
	_, err = engine.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err == nil {
		return engine, nil
	}
	at, err := cmp.Or(a.URL, engine.DaemonHost()), engine.Explain(err)
	engine.Close()
	switch why := (*LinkError)(nil); {
	case errors.As(err, &why):
		return nil, why
	case Refuses(err) && client.IsErrConnectionFailed(err):
		return nil, fmt.Errorf("no permission for the Docker engine at %s: be root, or in the group docker", at)
	case Refuses(err):
		return nil, fmt.Errorf("the Docker engine at %s, or a proxy before it, refuses: %s", at, printable.Line(err.Error(), maxRefusal))
	case trust.Distrusts(err), trust.IsDistrusted(err):
		return nil, fmt.Errorf("the Docker engine at %s is there, and a certificate is not accepted: %s", at, printable.Line(err.Error(), maxRefusal))
	case client.IsErrConnectionFailed(err):
		return nil, fmt.Errorf("no Docker engine answers at %s: is it running?", at)
	}
	return nil, err
}

// maxRefusal is how much of the text with which an engine refuses is shown, in runes.
const maxRefusal = 500

// IsLocal reports whether the engine's processes and networks are those of this
// machine.
func IsLocal(engine *client.Client) bool { return strings.HasPrefix(engine.DaemonHost(), "unix://") }
