// Package openid lets people approve a login at an OpenID provider, in their browser
// on any device (RFC 8628), and remembers approvals for a time.
//
// The provider's ID token says who has approved; its signature, issuer, audience and
// time are checked (OpenID Connect Core, section 3.1.3.7). No token is stored.
package openid
