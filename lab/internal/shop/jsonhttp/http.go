package jsonhttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxBody bounds what a request may send.
const maxBody = 1 << 20

// Body reads the whole body of a request, at most 1 MiB.
func Body(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the body of %s %s: %w", r.Method, r.URL.Path, err)
	}
	if len(data) > maxBody {
		return nil, &FieldError{Field: orBody(""), Got: "longer than 1 MiB", Allowed: "at most 1 MiB"}
	}
	return data, nil
}

// Write answers with a status and a JSON value.
func Write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller may be gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(value)
}

// Problem is the body of every answer that is an error.
type Problem struct {
	Error string `json:"error"`
	*FieldError
}

// Fail answers with an error: 400 for a FieldError, else the status given.
func Fail(w http.ResponseWriter, status int, err error) {
	problem := Problem{Error: err.Error()}
	if errors.As(err, &problem.FieldError) {
		status = http.StatusBadRequest
	}
	Write(w, status, problem)
}
