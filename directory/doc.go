// Package directory asks an LDAP directory (RFC 4511) who a person is: whether a
// password is right, and which groups the person is in.
//
// Every question goes over a connection of its own, by TLS to a server whose
// certificate is checked, and is answered within [Patience] or not at all. A name
// reaches a filter or a distinguished name escaped only. Whoever asks bounds how
// many questions there are at once.
package directory
