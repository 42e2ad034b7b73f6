package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/pool"
	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/machine"
)

const (
	// startTimeout bounds the start of a helper, with its delivery, which takes a
	// while if the API server is behind a slow line: as long as to a box elsewhere.
	startTimeout = 3 * time.Minute
)

// openExec opens a container as an account; "" stands for the account that runs it.
func (s *Source) openExec(ctx context.Context, host hosts.Host, f found, account string) (hosts.Entrance, error) {
	life, err := s.enter(host, f)
	if err != nil {
		return hosts.Entrance{}, err
	}
	opened, err := s.helpers.Open(ctx, pool.Key{Container: f.id, Account: account, Person: f.person}, func() (*helper.Client, error) {
		return s.startHelper(life, f, account)
	})
	if err == nil {
		return hosts.Entrance{Machine: opened, WhyLost: func() string { return s.whyLost(life, f) }}, nil
	}
	now, gone := s.running(host)
	silence, isSilent := s.known.silenceAbout(f.namespace)
	switch why := (*refusal)(nil); {
	case gone != nil: // the container is gone meanwhile
		return hosts.Entrance{}, gone
	case errors.As(err, &why):
		return hosts.Entrance{}, hosts.NewUnreachable(host.Name, why.text, nil)
	case isSilent:
		return hosts.Entrance{}, hosts.Soon(s.silent(host.Name, "cannot be entered", silence), untilWaited)
	case kubernetes.Refuses(err):
		return hosts.Entrance{}, s.silent(host.Name, "cannot be entered", hosts.Silence{Cause: err, Refuses: true})
	case errors.Is(err, errNoNode):
		return hosts.Entrance{}, hosts.Soon(hosts.NewUnreachable(host.Name, "cannot be entered: its node "+f.node+" does not answer", err), untilWaited)
	case time.Since(now.started) < comingBack || errors.Is(err, errSilent):
		why := fmt.Sprintf("cannot be entered%s, as it ends or restarts: %v; see kubectl logs -n %s %s", as(account), err, f.namespace, f.name)
		return hosts.Entrance{}, hosts.Soon(hosts.NewUnreachable(host.Name, why, err), s.patience(now))
	}
	return hosts.Entrance{}, hosts.NewUnreachable(host.Name, fmt.Sprintf("cannot be entered%s: %v", as(account), err), nil)
}

func as(account string) string {
	if account == "" {
		return ""
	}
	return " as " + account
}

// whyLost returns why a container has gone away.
func (s *Source) whyLost(life *life, f found) string {
	if why := life.whyEnded(); why != "" {
		return why
	}
	if now, isThere := s.known.byKey(f.key()); isThere && now.lost {
		return "cannot be reached: its node " + now.node + " does not answer"
	}
	return "cannot be reached: the connection through its cluster's API server ended"
}

// startHelper starts the helper, from a file that is written by an exec and removes
// itself, and makes it change to the account. The helper ends with the container's
// life.
func (s *Source) startHelper(life *life, f found, account string) (*helper.Client, error) {
	ctx, giveUp := context.WithCancelCause(life.Context)
	late := time.AfterFunc(startTimeout, func() { giveUp(fmt.Errorf("it takes longer than %v", startTimeout)) })
	defer late.Stop()
	written, err := s.writeHelper(ctx, f, account)
	if err != nil {
		return nil, err
	}
	started, err := s.meetHelper(ctx, f, account, written)
	if err != nil {
		s.removeWritten(ctx, f, written)
		return nil, err
	}
	if err := s.isStill(ctx, f); err != nil {
		started.Close()
		return nil, err
	}
	return started, nil
}

// meetHelper starts a helper that was written, and meets it.
func (s *Source) meetHelper(ctx context.Context, f found, account, written string) (*helper.Client, error) {
	x := s.start(ctx, f, written, "helper", "run", "--remove-self", "--become")
	if _, err := io.WriteString(x.In, account+"\n"); err != nil {
		return nil, x.why()
	}
	var nowhere *helper.Meetings // a pod has no socket of the gateway
	met, err := nowhere.Meet(helper.Started{In: x.In, Out: x.Out, Close: x.Close})
	if errors.Is(err, helper.ErrNotStarted) {
		return nil, x.why()
	}
	return met, err
}

// writeHelper writes this program into a container.
func (s *Source) writeHelper(ctx context.Context, f found, account string) (string, error) {
	file, size, err := helper.OpenSelf()
	if err != nil {
		return "", err
	}
	defer file.Close()
	x := s.start(ctx, f, helper.WriteCommand(size, account != "")...)
	sent := make(chan struct{})
	go func() { // a failed command takes no input, and says why meanwhile
		defer close(sent)
		io.Copy(x.In, file)
		x.In.Close()
	}()
	if written := helper.ReadWritten(x.Out); written != "" {
		x.Close()
		<-sent
		return written, nil
	}
	why := x.why()
	<-sent
	if errors.Is(why, errNoSuchFile) {
		return "", errors.New("its image has no sh to bring the helper in with")
	}
	return "", why
}

// removeWritten removes the file of a helper that did not start.
func (s *Source) removeWritten(ctx context.Context, f found, written string) {
	if command := helper.RemoveCommand(written); command != nil {
		s.output(ctx, f, command...)
	}
}

// maxOutput is more than any command here prints.
const maxOutput = 64 << 10

// output runs a command without input, and returns what it prints.
func (s *Source) output(ctx context.Context, f found, command ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	x := s.start(ctx, f, command...)
	x.In.Close()
	var out bytes.Buffer
	if _, err := io.Copy(&out, io.LimitReader(x.Out, maxOutput)); err != nil {
		x.Close()
		return nil, err
	}
	return out.Bytes(), x.failure()
}

var (
	errNoSuchFile = errors.New("the command is not there")
	errSilent     = errors.New("the command ended without a word")
	errNoNode     = errors.New("the pod's node does not answer the API server")
)

// refusal is the answer of a helper that cannot change to an account; text follows a
// host's name.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// failure waits for the end of a command, and returns why it failed; nil if it did
// not.
func (x *stream) failure() error {
	<-x.ended
	if x.err == nil {
		return nil
	}
	return x.why()
}

// why returns why a command failed, from its stderr or from the cluster's answer. It
// closes the streams.
func (x *stream) why() error {
	x.Out.Close()
	x.In.Close()
	select {
	case <-x.ended:
	case <-time.After(explainTimeout):
	}
	x.Close()
	said := strings.TrimPrefix(x.said.Line(), "gateway: ")
	if strings.HasPrefix(said, machine.ErrNoAccount.Error()) || strings.HasPrefix(said, helper.OnlyItself) {
		return &refusal{said}
	}
	if said == "" && x.err != nil {
		switch {
		case kubernetes.NodeIsSilent(x.err):
			return errNoNode
		case kubernetes.Refuses(x.err):
			return x.err
		}
		said = kubernetes.Line(x.err.Error())
	}
	switch {
	case said == "":
		return errSilent
	case strings.Contains(said, "executable file not found") || strings.Contains(said, "no such file or directory"):
		return fmt.Errorf("%w: %s", errNoSuchFile, said)
	case strings.Contains(said, "exec format error"):
		return errors.New("its image is for another processor architecture than the gateway's")
	}
	return errors.New(said)
}

// explainTimeout is how long to wait for the last output of a failed command.
const explainTimeout = 2 * time.Second
