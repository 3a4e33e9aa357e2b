"""Wrong arguments of everything public: the error is one sentence that names the argument."""
