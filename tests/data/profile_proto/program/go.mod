module example.com/goldens

go 1.21
