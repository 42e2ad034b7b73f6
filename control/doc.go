// Package control is how a program on this machine talks to a gateway that runs:
// one unix socket in the state directory, which only root and the gateway's own
// account can reach.
//
// A caller sends one [Request] as a line of JSON and gets one [Response]. A verb
// is a function that takes and returns what JSON can say; [Listen] takes them by
// their names. A verb that is not known is an error for the caller, and so is a
// verb's own error; neither ends anything here.
//
// While a gateway is upgraded there are several: each former one goes on serving
// the people who are connected to it, and has moved its socket aside. [CallAll]
// asks all of them.
package control
