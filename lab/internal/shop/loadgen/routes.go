package loadgen

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

// Routes adds the generator's part of the control port:
//
//	POST   /load               starts a run: JSON of a [Spec]; 409 while one is not over
//	GET    /load               [Progress]
//	DELETE /load               stops the run and waits for its end
//	GET    /load/records       the records of the last run, in the format of [referee.ReadBatch]; ?since=N leaves out
//	                           the first N, to go on from the last answer's next
func (g *Generator) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /load", g.post)
	mux.HandleFunc("GET /load", func(w http.ResponseWriter, _ *http.Request) {
		jsonhttp.Write(w, http.StatusOK, g.Progress())
	})
	mux.HandleFunc("DELETE /load", func(w http.ResponseWriter, _ *http.Request) {
		jsonhttp.Write(w, http.StatusOK, g.Stop())
	})
	mux.HandleFunc("GET /load/records", g.records)
}

func (g *Generator) post(w http.ResponseWriter, r *http.Request) {
	data, err := jsonhttp.Body(r)
	if err != nil {
		jsonhttp.Fail(w, http.StatusInternalServerError, err)
		return
	}
	spec, err := ParseSpec(data, g.defaultTarget)
	if err != nil {
		jsonhttp.Fail(w, http.StatusInternalServerError, err)
		return
	}
	progress, err := g.Start(r.Context(), spec)
	var busy *BusyError
	switch {
	case errors.As(err, &busy):
		jsonhttp.Fail(w, http.StatusConflict, err)
	case err != nil:
		jsonhttp.Fail(w, http.StatusServiceUnavailable, err)
	default:
		jsonhttp.Write(w, http.StatusAccepted, progress)
	}
}

func (g *Generator) records(w http.ResponseWriter, r *http.Request) {
	var since uint64
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			jsonhttp.Fail(w, http.StatusBadRequest, jsonhttp.Refuse("since", text, "a record's number: 0 or more"))
			return
		}
		since = n
	}
	header := referee.Header{Format: referee.Format, Client: g.pod, Paths: []string{}, Servers: []referee.Server{}}
	run := g.current()
	if run == nil {
		jsonhttp.Write(w, http.StatusOK, header)
		return
	}
	header.Run, header.Paths = run.id, run.spec.Paths
	if !run.memory.span(since, &header) {
		made, _ := run.memory.counts()
		jsonhttp.Fail(w, http.StatusBadRequest,
			jsonhttp.Refuse("since", since, "at most "+strconv.FormatUint(made, 10)+", the records made by run "+run.id))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := json.NewEncoder(w).Encode(header); err == nil {
		stream(w, run.memory, header)
	}
}

// stream writes the records that the header announced. When they are overwritten meanwhile it breaks the answer off,
// so that nobody takes it for a whole one.
func stream(w http.ResponseWriter, m *memory, h referee.Header) {
	records := make([]referee.Record, 2048)
	var raw []byte
	for at := h.From; at < h.Next; {
		piece := records[:min(uint64(len(records)), h.Next-at)]
		if !m.read(at, piece) {
			panic(http.ErrAbortHandler)
		}
		raw = raw[:0]
		for _, r := range piece {
			raw = referee.AppendRecord(raw, r)
		}
		if _, err := w.Write(raw); err != nil {
			return
		}
		at += uint64(len(piece))
	}
}
