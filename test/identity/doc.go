// Package identity is about who logs in, by what, and what of it is written down:
// keys with options, certificates that ssh-keygen signs and revokes, codes of an
// authenticator, and the audit file, with OpenSSH's own programs.
package identity
