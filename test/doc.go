// Package test holds Berth to its promise: through the gateway everything is
// as it is with OpenSSH's own sshd.
//
// A ground is a machine with several doors: a bare sshd, and each route of a
// gateway that leads to the same machine. Real clients run the same scripts at
// every door, and the bare sshd is the oracle: what a script is wanted to
// print must hold there too.
//
// With OpenSSH alone:
//   - TestMachine tries every door of this machine, and TestLoads asks much of
//     them.
//   - TestWire asks the oracle's questions on connections that are worse than
//     most.
//   - TestVanished has clients and hosts fall silent, and TestLife ends what
//     lives in every order.
//   - TestAttacks tells the attacks that gateways have fallen for.
//
// With an engine and a base image:
//   - TestContainer tries every door of a container.
//   - TestWays enters one from every place where a gateway may stand, and
//     TestImages enters containers of every kind that people bring.
//   - TestParity compares, fact by fact, what sshd and route exec lead to.
//   - TestKilled kills clients at random points and looks for what they left.
//   - TestEngineFaults has sessions go on whatever befalls the engine, and
//     TestEngineRestart restarts one of its own under them.
//   - TestImportedHostsAreEnteredByTheirPasswordsOfOld takes a box over that has
//     an ssh port for each container.
//   - TestClients logs in with clients that others wrote (testdata/matrix), and
//     TestIDEs does what editors do.
//
// A tool that is missing skips a test on a laptop, and fails it where CI=true.
package test
