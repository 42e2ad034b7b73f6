// Package keysource has people's keys that are stored elsewhere: at GitHub, GitLab,
// or any https address, as lines of an authorized_keys file without options.
//
// A [Fetcher] fetches them in the background, again and again, and stores them in a
// [Cache]. Logins read only the cache, so no login waits for a source. A source that
// does not answer, or answers with something else than keys, changes nothing. A
// source that says that there are no keys, or no such person, is believed.
package keysource
