// Package clients tests clients that others wrote: TestClients logs in with each
// in every way it knows and has it do all that it can, and TestIDEs does what
// editors do (docs/clients.md).
package clients
