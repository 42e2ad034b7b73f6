// Package docker connects to a Docker engine, wherever docker itself would: at a
// socket, by TCP and TLS, or by ssh ([Connect], [Dial]); and runs commands in its
// containers ([Start], [Output]). Everything else is said to the engine's own
// client.
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

// Address is where an engine is.
type Address struct {
	URL string // as docker knows it: unix://, tcp:// or ssh://; "": as the docker command finds it
	TLS string // directory of ca.pem, cert.pem and key.pem for tcp://; "": as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say
}

// Env are the variables by which the docker command finds the engine; none where it finds
// it by itself.
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

// Engine is a client of an engine. Closing it ends what it opened, also the connection
// of the ssh command.
type Engine struct {
	*client.Client
	link *link // by ssh; nil without
}

// Close ends every connection to the engine by ssh, and the idle ones of others.
func (e *Engine) Close() error {
	err := e.Client.Close()
	if e.link != nil {
		e.link.close()
	}
	return err
}

// Explain returns why a call to an engine failed: what ssh says, where the call goes by ssh
// and ssh has failed, or else err. The engine's client hides that.
func (e *Engine) Explain(err error) error {
	if err == nil || e.link == nil {
		return err
	}
	if why := e.link.complaint(); why != "" {
		return &LinkError{e.link.box, why}
	}
	return err
}

// Connect makes a client of a Docker engine: the one at the address, or else the one
// that the docker command would take: of DOCKER_HOST, or of the Docker context, or at
// the usual socket. An engine by ssh:// is reached by the ssh command, which is run once
// for all that is asked. It does not wait for an answer.
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

// Dial is [Connect] to an engine that has answered. Its errors say what to do.
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

// maxRefusal is how much is shown of what an engine refuses with, in runes.
const maxRefusal = 500

// IsLocal says whether the engine's processes and networks are this machine's.
func IsLocal(engine *client.Client) bool { return strings.HasPrefix(engine.DaemonHost(), "unix://") }
