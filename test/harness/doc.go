// Package harness is what the scenario tests beside it are made of: the
// programs under test, the gateway as a process, every door by which a machine
// or a container can be entered, and the clients that go in.
//
// A [Target] is one door, and a directory of ssh, scp and sftp for which it is
// host h, so that one test asks every door the same: a bare sshd, which is the
// oracle; route sshd; route local; and route exec, where what happens in the
// container is handed out as descriptors or goes by streams. [AtEveryDoor]
// runs a test at all of them.
//
// A test that is a script is a testscript, run by [Target.Scripts]. A missing tool
// skips a test and tells why, and fails it where CI=true. What takes a moment is
// awaited with [Eventually], whose bound is [Patience].
//
// It is one package, and larger than others, because each scenario needs most of
// it; what needs an engine of its own is in harness/engine.
package harness
