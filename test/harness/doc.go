// Package harness has the tools of the scenario tests beside it: the programs under
// test, the gateway as a process, every door by which a machine or a container can be
// entered, and the clients.
//
// A [Target] is one door, with a directory of ssh, scp and sftp commands for which it
// is host h, so that one test can be run at every door: a bare sshd, which is the
// oracle; route sshd; route local; and route exec, with descriptors or with streams.
// [AtEveryDoor] runs a test at all of them.
//
// A test that is a script is a testscript, run by [Target.Scripts]. A missing tool
// skips a test with the reason, and fails it if CI=true. Use [Eventually] to wait for
// what takes a moment; its limit is [Patience].
//
// It is one package, larger than others, because each scenario needs most of it. What
// needs an engine of its own is in harness/engine.
package harness
