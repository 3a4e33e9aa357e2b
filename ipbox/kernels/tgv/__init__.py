"""The steps of primal-dual TGV."""
