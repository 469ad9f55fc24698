module chat/goroutines

go 1.19
