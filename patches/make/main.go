// Command make makes the edits of berth/patches and prints the path of the
// go.mod to build with, for -modfile. It is run in the folder with our go.mod.
package main

import (
	"fmt"
	"os"

	"github.com/berth-ssh/berth/patches"
)

func main() {
	path, err := patches.Make(".")
	if err != nil {
		fmt.Fprintf(os.Stderr, "patches: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
