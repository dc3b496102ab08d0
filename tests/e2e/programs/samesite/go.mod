module example.com/samesite

go 1.21
