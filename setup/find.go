package setup

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
)

// Wanted has a person's wishes for a plan; what is left out is found.
type Wanted struct {
	User   string   // "": who runs this, or has called sudo
	Keys   []string // public keys, or files with one; none: those in the user's ~/.ssh
	Hosts  []string // names of containers, or as hosts; none: all that run
	Listen string
}

// Find plans what is wanted and, for the rest, what is found on this box. notLooked is
// why no containers were looked for; the plan has none then.
func Find(ctx context.Context, w Wanted) (plan Plan, notLooked, err error) {
	name, home := person(w.User)
	plan = Plan{User: name, Listen: w.Listen, Engine: os.Getenv("DOCKER_HOST")}
	for _, given := range w.Keys {
		key, err := givenKey(given)
		if err != nil {
			return plan, nil, err
		}
		plan.Keys = append(plan.Keys, key)
	}
	if len(w.Keys) == 0 {
		plan.Keys = keysIn(home)
	}
	if err := plan.check(); err != nil {
		return plan, nil, err
	}
	running, notLooked := containers(ctx)
	plan.Containers, err = chosen(running, w.Hosts)
	return plan, notLooked, err
}

// person returns the user whose keys are examined: the local user with that name, or
// else the caller of sudo, or else the user who runs this program.
func person(name string) (login, home string) {
	login = cmp.Or(name, os.Getenv("SUDO_USER"))
	if account, err := user.Lookup(login); err == nil {
		return login, account.HomeDir
	}
	if caller := os.Getenv("SUDO_USER"); name != "" && caller != "" {
		_, home = person("")
		return name, home
	}
	home, _ = os.UserHomeDir() // without one there are no keys
	account, err := user.Current()
	if err != nil {
		return name, home
	}
	return cmp.Or(name, account.Username), home
}

// chosen are the containers with these names as hosts; all where none is named.
func chosen(running []Container, names []string) ([]Container, error) {
	if len(names) == 0 {
		return running, nil
	}
	var some []Container
	for _, name := range names {
		at := slices.IndexFunc(running, func(c Container) bool { return c.Host == name || c.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("no container %.64q runs here; docker ps shows those that do", name)
		}
		some = append(some, running[at])
	}
	return some, nil
}
