"""Adapters: other libraries' forecasters and regressors, with the interface that everything here uses.

    RegressorForecaster       any scikit-learn regressor over our features
    MlforecastForecaster      an mlforecast.MLForecast
    StatsforecastForecaster   a statsforecast.StatsForecast

Each has fit, predict, forecast, save and load, so that the registry keeps it, the training and the prediction wave use
it, and the gate judges it like any other. Intervals are conformal, from hours that the model has not seen.

What cannot be kept: anything whose library has no format of its own but pickle. A model is then refused when it is
saved, with a text that says which part. Uses `features`, `models` and `registry`. Begin with `base`.
"""
