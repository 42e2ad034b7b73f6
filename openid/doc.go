// Package openid has people approve a login at an OpenID provider, in a browser of
// theirs on any device (RFC 8628), and remembers for a time that they did.
//
// Who approved is what the provider's ID token says, whose signature, issuer,
// audience and time are checked (OpenID Connect Core, section 3.1.3.7). No token is
// kept.
package openid
