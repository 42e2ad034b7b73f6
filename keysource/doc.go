// Package keysource has the keys of people that lie elsewhere: at GitHub, GitLab, or
// any address of https, as lines of an authorized_keys file without options.
//
// A [Fetcher] fetches them beside everything else, again and again, and keeps what it
// got in a [Cache]. Whoever decides a login reads the cache: a source that does not
// answer, or answers with something else than keys, changes nothing, and no login
// waits for one. A source that says that there are none, or that it knows no such
// person, is believed.
package keysource
