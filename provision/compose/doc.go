// Package compose reads compose files and says what they want: networks, volumes, and
// for each service its container, image and host, in the engine's terms. It uses only
// the files and the site, never what exists already.
//
// [Load] reads the files as docker compose does, and [Project.Want] turns them into a
// [Wanted]. Everything in a file that is not carried out gives a warning. Errors name
// the file and the line.
//
// It is larger than other packages: the meaning of a service's hundred keys is one
// subject, with a file for each group of keys.
package compose
