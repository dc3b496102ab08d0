module dump.example/parked

go 1.21
