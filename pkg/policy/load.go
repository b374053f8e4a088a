package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxFileSize is the size above which a file is refused: 10 MiB hold some 30,000 policies.
const MaxFileSize = 10 << 20

// Stdin is the path that means standard input.
const Stdin = "-"

// LoadOptions say what is read.
type LoadOptions struct {
	// Paths are files, directories, or "-" for standard input.
	Paths []string
	// Recursive reads directories with all that is below them; hidden directories are left out.
	Recursive bool
	// Namespace is given to documents that name none; "default" where it is empty.
	Namespace string
	// Stdin is read for "-".
	Stdin io.Reader
	// Files opens files and directories; nil means the file system of the machine. Any fs.FS will do in tests.
	Files fs.FS
}

// machine opens paths as they are given, which os.DirFS would refuse.
type machine struct{}

func (machine) Open(name string) (fs.File, error) { return os.Open(name) }

// Stat opens nothing: to open a named pipe is to wait for its writer.
func (machine) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// errNoFile is of what stands among the files of a directory and could be waited for without end.
var errNoFile = errors.New("it is a pipe, a socket or a device, not a file")

// Load reads and checks everything that the options name. It returns all faults of all files at once, as Errors, or the
// whole set: a policy that cannot be read never hides behind one that can.
func Load(opts LoadOptions) (Set, error) {
	opts.Namespace = cmpOr(opts.Namespace, "default")
	if opts.Files == nil {
		opts.Files = machine{}
	}
	files, errs := expand(opts)
	var docs []document
	for _, file := range files {
		data, err := read(opts, file)
		if err != nil {
			errs = append(errs, *err)
			continue
		}
		more, bad := decodeFile(file, data, opts.Namespace)
		docs, errs = append(docs, more...), append(errs, bad...)
	}
	for _, d := range docs {
		errs = append(errs, d.errs...)
	}
	set, twice := collect(docs)
	if err := append(errs, twice...).orNil(); err != nil {
		return Set{}, err
	}
	return set, nil
}

// expand lists the files behind the given paths, each once, in the order given.
func expand(opts LoadOptions) ([]string, Errors) {
	if len(opts.Paths) == 0 {
		return nil, Errors{{Code: CodeEmpty, Message: "no file is given", Hint: "name files, directories or - with -f"}}
	}
	var files []string
	var errs Errors
	seen := map[string]bool{}
	for _, path := range opts.Paths {
		found, err := under(opts, path)
		if err != nil {
			errs = append(errs, *err)
		}
		for _, f := range found {
			if !seen[filepath.Clean(f)] {
				seen[filepath.Clean(f)] = true
				files = append(files, f)
			}
		}
	}
	return files, errs
}

// under is the path itself where it is a file, or the files of the directory.
func under(opts LoadOptions, path string) ([]string, *LoadError) {
	if path == Stdin {
		return []string{path}, nil
	}
	info, err := fs.Stat(opts.Files, path)
	if err != nil {
		return nil, readError(path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	files, deeper, err := walk(opts, path)
	if err != nil {
		return files, readError(path, err)
	}
	if len(files) == 0 {
		hint := "its files must end in .yaml, .yml or .json"
		if deeper {
			hint += "; directories below it are read with -R"
		}
		return nil, &LoadError{File: path, Code: CodeEmpty, Message: "there is no policy file in the directory", Hint: hint}
	}
	return files, nil
}

// walk lists the policy files of a directory, and tells whether there are directories that were left out.
func walk(opts LoadOptions, dir string) (files []string, deeper bool, err error) {
	entries, err := fs.ReadDir(opts.Files, dir)
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir() && (!opts.Recursive || strings.HasPrefix(e.Name(), ".")):
			deeper = true
		case e.IsDir():
			more, _, err := walk(opts, path)
			if err != nil {
				return files, false, err
			}
			files = append(files, more...)
		case !slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(e.Name()))):
		case e.Type()&fs.ModeType != 0 && e.Type()&fs.ModeSymlink == 0:
			return files, false, &fs.PathError{Op: "read", Path: path, Err: errNoFile}
		default:
			files = append(files, path)
		}
	}
	return files, deeper, nil
}

// read reads a file up to the limit.
func read(opts LoadOptions, path string) ([]byte, *LoadError) {
	r := opts.Stdin
	if path != Stdin {
		f, err := opts.Files.Open(path)
		if err != nil {
			return nil, readError(path, err)
		}
		defer func() { _ = f.Close() }() // only read
		r = f
	}
	if r == nil {
		return nil, &LoadError{File: path, Code: CodeRead, Message: "standard input is closed", Hint: "name files with -f"}
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxFileSize+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if len(data) > MaxFileSize {
		return nil, &LoadError{File: path, Code: CodeRead, Message: fmt.Sprintf("the file is larger than %d MiB", MaxFileSize>>20),
			Hint: "split it"}
	}
	return data, nil
}

// readError says why a file could not be read, without repeating its name.
func readError(path string, err error) *LoadError {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		path, err = cmpOr(pathErr.Path, path), pathErr.Err
	}
	e := &LoadError{File: path, Code: CodeRead, Message: "reading: " + err.Error()}
	if errors.Is(err, fs.ErrNotExist) {
		e.Hint = "check the path"
	}
	return e
}

// collect makes a set of documents without faults and writes down those that are there twice.
func collect(docs []document) (Set, Errors) {
	var set Set
	var errs Errors
	first := map[Key]Source{}
	for _, d := range docs {
		var key Key
		var source Source
		switch {
		case d.policy != nil:
			key, source = d.policy.Key, d.policy.Source
			set.Policies = append(set.Policies, *d.policy)
		case d.rollout != nil:
			meta := d.rollout.Object.Meta()
			key, source = Key{Kind: RolloutKind, Namespace: meta.Namespace, Name: meta.Name}, d.rollout.Source
			set.Rollouts = append(set.Rollouts, *d.rollout)
		default:
			continue
		}
		if before, ok := first[key]; ok {
			errs = append(errs, LoadError{File: source.File, Line: source.line("metadata.name"), Policy: key, Field: "metadata.name", Code: CodeDuplicate,
				Message: fmt.Sprintf("%s is already in %s", key, before.At("metadata.name")), Hint: "give one of them another name"})
			continue
		}
		first[key] = source
	}
	set.sort()
	return set, errs
}

// sort puts policies in the order of their keys and rollouts in the order of namespace and name.
func (s *Set) sort() {
	slices.SortFunc(s.Policies, func(a, b Policy) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	slices.SortFunc(s.Rollouts, func(a, b RolloutDoc) int {
		return strings.Compare(a.Object.Namespace+"/"+a.Object.Name, b.Object.Namespace+"/"+b.Object.Name)
	})
}
