package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// followEvery is how often a followed log is looked at.
const followEvery = 200 * time.Millisecond

// logs answers `kubectl logs`: the whole log or its last lines, and what is added to it.
func (a *Agent) logs(w http.ResponseWriter, r *http.Request, pod *worker) {
	var found *container
	for _, c := range append(append([]*container{}, pod.containers...), pod.inits...) {
		if c.spec.Name == r.PathValue("container") {
			found = c
		}
	}
	if found == nil {
		http.Error(w, "pod has no container "+r.PathValue("container"), http.StatusNotFound)
		return
	}
	f, err := os.Open(found.logPath())
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer f.Close()
	query := r.URL.Query()
	if n, err := strconv.Atoi(query.Get("tailLines")); err == nil {
		if err := seekTail(f, n); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	follow, _ := strconv.ParseBool(query.Get("follow"))
	copyLog(r.Context(), w, f, follow)
}

func copyLog(ctx context.Context, w http.ResponseWriter, f *os.File, follow bool) {
	flusher, _ := w.(http.Flusher)
	for {
		if _, err := io.Copy(w, f); err != nil || !follow {
			return
		}
		if flusher != nil {
			flusher.Flush()
		}
		if !sleep(ctx, followEvery) {
			return
		}
	}
}

// seekTail moves to the beginning of the last n lines.
func seekTail(f *os.File, n int) error {
	const block = 1 << 16
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	// A final newline ends the last line and begins no other.
	lines, at := -1, end
	buf := make([]byte, block)
	for at > 0 {
		size := min(at, block)
		at -= size
		chunk := buf[:size]
		if _, err := f.ReadAt(chunk, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := bytes.LastIndexByte(chunk, '\n'); i >= 0; i = bytes.LastIndexByte(chunk[:i], '\n') {
			if lines++; lines == n {
				_, err := f.Seek(at+int64(i)+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
