package main

import (
	"context"
	"fmt"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/directory"
	"github.com/berth-ssh/berth/openid"
)

// askServices returns an error for each directory or provider that is not as the
// configuration says.
func askServices(ctx context.Context, settings config.Config) []error {
	var silent []error
	if settings.LDAP != nil {
		if err := directory.New(*settings.LDAP).Check(ctx); err != nil {
			silent = append(silent, fmt.Errorf("ldap does not answer as it should: %w", err))
		}
	}
	if settings.OIDC != nil {
		if err := openid.New(*settings.OIDC, settings.State).Check(ctx); err != nil {
			silent = append(silent, fmt.Errorf("oidc does not answer as it should: %w", err))
		}
	}
	return silent
}

// identify returns a user with the groups in the directory, if that can be asked
// without the user's password.
func identify(ctx context.Context, settings config.Config, user string) (auth.Identity, error) {
	name, ok := settings.Policy.NameAt(auth.LDAP, user)
	if settings.LDAP == nil || settings.LDAP.Bind == "" || !ok {
		return auth.Identity{User: user}, nil
	}
	person, err := directory.New(*settings.LDAP).Find(ctx, name)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("ldap says nothing of %s: %w", name, err)
	}
	return auth.Identity{User: user, Service: auth.LDAP, Credential: person.Name, Groups: person.Groups}, nil
}
