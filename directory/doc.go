// Package directory asks an LDAP directory (RFC 4511) who a person is: whether a
// password is right, and which groups the person is in.
//
// Every question uses a new connection, by TLS to a server whose certificate is
// checked, and is answered within [Patience] or not at all. Names are always escaped
// in filters and distinguished names. The caller must bound how many questions are
// asked at once.
package directory
