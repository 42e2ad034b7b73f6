// Package compose reads compose files and says what they want: networks, volumes,
// and for each service the container, image and host that it means, in the
// engine's terms. It knows the files and the site, never what is there already.
//
// [Load] reads the files as docker compose does, [Project.Want] turns them into
// a [Wanted]. Everything that a file says and that is not carried out becomes a
// warning. Errors name the file and the line.
//
// It is larger than other rooms: what each of a service's hundred keys means is
// one subject, with a file for each group of keys.
package compose
