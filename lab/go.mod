module github.com/meshpol/meshpol/lab

go 1.26.0
