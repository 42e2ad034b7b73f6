package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
)

// trustScript sets which user CAs the sshd of Berth's image trusts; the sshd reads
// the file at every login. The first argument is the CA with which the container was
// created, the others are the CAs to trust. When the container starts again,
// entrypoint.sh uses the second file instead of the variable, as long as the variable
// still has that CA.
const trustScript = `set -eu
umask 022
cd /etc/ssh
made=$1
shift
{ printf '# instead of %s\n' "$made"; printf '%s\n' "$@"; } > .new_cas.$$
{ cat .new_cas.$$; cat berth_peers_ca.pub 2>/dev/null || :; } > .new_ca.pub.$$
mv -fT .new_cas.$$ berth_user_cas
mv -fT .new_ca.pub.$$ berth_user_ca.pub`

// atOnce is how many containers are told at the same time.
const atOnce = 8

// trusts records which user CAs containers were told to trust.
type trusts struct {
	mu   sync.Mutex
	told map[string]string // by id and start of the container: the CAs, one on each line
}

// madeWith returns the user CA in a container's environment; "" for a container that
// is not of Berth's image.
func madeWith(in container.InspectResponse) string {
	for _, variable := range in.Config.Env {
		if ca, isCA := strings.CutPrefix(variable, labels.EnvUserCA+"="); isCA {
			return strings.TrimSpace(ca)
		}
	}
	return ""
}

// trust makes sure that a container of Berth's image trusts the present user CAs, and
// returns when that is done. A container that was created with the only CA needs
// nothing; one of another gateway's CA stays as it is.
func (s *Source) trust(ctx context.Context, in container.InspectResponse) error {
	ca, made := s.state.UserCA(), madeWith(in)
	trusted := ca.Trusted()
	run, all := in.ID+" "+in.State.StartedAt, strings.Join(trusted, "\n")
	told := s.trusts.of(run)
	if !slices.Contains(ca.Made(), made) || told == all || told == "" && all == made {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	args := append([]string{"sh", "-c", trustScript, "sh", made}, trusted...)
	if err := docker.Run(ctx, s.engine.Client, in.ID, docker.Command{User: "0", Env: without(in.Config.Env), Args: args}); err != nil {
		return fmt.Errorf("cannot be told which user CA to trust: %w", err)
	}
	s.log.Info("told which user CAs to trust", "container", in.ID, "cas", len(trusted))
	if !isRecent(in.State.StartedAt) { // otherwise its entrypoint may still write the file
		s.trusts.note(run, all)
	}
	return nil
}

// of returns what was recorded; "" for nothing.
func (t *trusts) of(run string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told[run]
}

func (t *trusts) note(run, all string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told == nil {
		t.told = map[string]string{}
	}
	t.told[run] = all
}

// forget removes the record of a container that is gone.
func (t *trusts) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for run := range t.told {
		if strings.HasPrefix(run, id+" ") {
			delete(t.told, run)
		}
	}
}

// TellUserCAs makes every container that is a host trust the present user CAs, and
// returns the results by host name. It waits until all have been told.
func (s *Source) TellUserCAs(ctx context.Context) map[string]hosts.Trust {
	var mu sync.Mutex
	all := map[string]hosts.Trust{}
	var wait sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for _, host := range s.List(ctx) {
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			told, ok := s.tell(ctx, host)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all[host.Name] = told
		})
	}
	wait.Wait()
	return all
}

// tellLater tells containers in the background, if there has ever been another user
// CA.
func (s *Source) tellLater(ctx context.Context, containers ...found) {
	ca := s.state.UserCA()
	if ca.Next == nil && len(ca.Former) == 0 {
		return
	}
	s.telling.Go(func() {
		for _, f := range containers {
			in, err := s.inspect(ctx, f.id)
			if err == nil && in.State.Running {
				err = s.trust(ctx, in)
			}
			if err != nil && ctx.Err() == nil && !errdefs.IsNotFound(err) {
				s.log.Warn("a host may trust a former user CA", "host", f.host, "err", err)
			}
		}
	})
}

// tell tells one host. ok is false if it trusts no user CA, or is gone by now.
func (s *Source) tell(ctx context.Context, host hosts.Host) (told hosts.Trust, ok bool) {
	in, err := s.inspect(ctx, host.Container)
	switch {
	case errdefs.IsNotFound(err):
		return hosts.Trust{}, false
	case err != nil:
		return hosts.Trust{Err: err}, true
	}
	switch made := madeWith(in); {
	case made == "":
		return hosts.Trust{IsForeign: true}, host.Route == labels.RouteSshd
	case !slices.Contains(s.state.UserCA().Made(), made):
		return hosts.Trust{IsOthers: true}, true
	case !in.State.Running:
		return hosts.Trust{Later: true}, true
	}
	err = s.trust(ctx, in)
	return hosts.Trust{Err: err}, !errdefs.IsNotFound(err)
}
