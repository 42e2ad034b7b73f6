package patches

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// edit is one change of one file. Its place is found by a declaration and by a few
// words that occur there exactly once.
type edit struct {
	file string // below the module's root
	in   string // the declaration: "function", "type" or "type.method"
	at   string // the words

	// before and after are inserted around the statement or field that begins with
	// the words; instead replaces the words themselves.
	before, after, instead string
}

// insertion replaces source[from:to].
type insertion struct {
	from, to int
	text     string
}

// apply makes the edits in the source of one file.
func apply(source []byte, edits []edit) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var all []insertion
	for _, e := range edits {
		insertions, err := place(fset, file, source, e)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", e.file, e.in, err)
		}
		all = append(all, insertions...)
	}
	slices.SortStableFunc(all, func(a, b insertion) int { return b.from - a.from })
	for _, i := range all { // from the end, so that earlier offsets stay valid
		source = slices.Concat(source[:i.from], []byte(i.text), source[i.to:])
	}
	return format.Source(source)
}

// place finds the place of an edit.
func place(fset *token.FileSet, file *ast.File, source []byte, e edit) ([]insertion, error) {
	declaration := find(file, e.in)
	if declaration == nil {
		return nil, fmt.Errorf("no such declaration")
	}
	offset := func(p token.Pos) int { return fset.Position(p).Offset }
	begin := offset(declaration.Pos())
	text := string(source[begin:offset(declaration.End())])
	if n := strings.Count(text, e.at); n != 1 {
		return nil, fmt.Errorf("%q stands there %d times, not once", e.at, n)
	}
	at := begin + strings.Index(text, e.at)
	if e.instead != "" {
		return []insertion{{at, at + len(e.at), e.instead}}, nil
	}
	around := startingAt(declaration, func(p token.Pos) bool { return offset(p) == at })
	if around == nil {
		return nil, fmt.Errorf("no statement begins with %q", e.at)
	}
	end := offset(around.End())
	return []insertion{{at, at, e.before}, {end, end, e.after}}, nil
}

// find returns the declaration with this name, or nil.
func find(file *ast.File, name string) ast.Node {
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if functionName(d) == name {
				return d
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok && t.Name.Name == name {
					return t
				}
			}
		}
	}
	return nil
}

// functionName returns "function" or "type.method".
func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	name, _ := receiver.(*ast.Ident)
	return fmt.Sprintf("%v.%s", name, f.Name.Name)
}

// startingAt returns the outermost statement or field that starts at a place.
func startingAt(declaration ast.Node, here func(token.Pos) bool) (found ast.Node) {
	ast.Inspect(declaration, func(n ast.Node) bool {
		switch n.(type) {
		case ast.Stmt, *ast.Field:
			if found == nil && here(n.Pos()) {
				found = n
			}
		}
		return found == nil
	})
	return found
}
