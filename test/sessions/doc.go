// Package sessions tests what a session is to a person, at every door: a terminal,
// processes that end or live on, and many sessions on one connection.
package sessions
