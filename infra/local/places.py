"""Places that the weather emulator knows, as GeoNames has them (https://www.geonames.org, CC BY 4.0): Open-Meteo's own source."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A place with its English and its Chinese names."""

    id: int
    name: str
    name_zh: str
    latitude: float
    longitude: float
    elevation: float
    """Metres."""
    feature_code: str
    """GeoNames' kind: PPLC is a capital, PPLA the seat of a province."""
    country_code: str
    country: str
    country_zh: str
    admin1: str | None
    admin1_zh: str | None
    timezone: str
    population: int


PLACES = (
    Place(1816670, "Beijing", "北京", 39.9075, 116.39723, 49, "PPLC", "CN", "China", "中国", "Beijing", "北京市", "Asia/Shanghai", 18960744),
    Place(1796236, "Shanghai", "上海", 31.22222, 121.45806, 12, "PPLA", "CN", "China", "中国", "Shanghai", "上海市", "Asia/Shanghai", 24874500),
    Place(1809858, "Guangzhou", "广州", 23.11667, 113.25, 15, "PPLA", "CN", "China", "中国", "Guangdong", "广东", "Asia/Shanghai", 16096724),
    Place(1795565, "Shenzhen", "深圳", 22.54554, 114.0683, 7, "PPLA2", "CN", "China", "中国", "Guangdong", "广东", "Asia/Shanghai", 17494398),
    Place(1815286, "Chengdu", "成都", 30.66667, 104.06667, 499, "PPLA", "CN", "China", "中国", "Sichuan", "四川", "Asia/Shanghai", 13568357),
    Place(1808926, "Hangzhou", "杭州", 30.29365, 120.16142, 16, "PPLA", "CN", "China", "中国", "Zhejiang", "浙江", "Asia/Shanghai", 9236032),
    Place(1791247, "Wuhan", "武汉", 30.58333, 114.26667, 37, "PPLA", "CN", "China", "中国", "Hubei", "湖北", "Asia/Shanghai", 10392693),
    Place(1790630, "Xi'an", "西安", 34.25833, 108.92861, 416, "PPLA", "CN", "China", "中国", "Shaanxi", "陕西", "Asia/Shanghai", 12183280),
    Place(1799962, "Nanjing", "南京", 32.06167, 118.77778, 23, "PPLA", "CN", "China", "中国", "Jiangsu", "江苏", "Asia/Shanghai", 7165292),
    Place(1814906, "Chongqing", "重庆", 29.56026, 106.55771, 259, "PPLA", "CN", "China", "中国", "Chongqing", "重庆市", "Asia/Shanghai", 7457600),
    Place(1792947, "Tianjin", "天津", 39.14222, 117.17667, 8, "PPLA", "CN", "China", "中国", "Tianjin", "天津市", "Asia/Shanghai", 11090314),
    Place(1886760, "Suzhou", "苏州", 31.30408, 120.59538, 12, "PPLA2", "CN", "China", "中国", "Jiangsu", "江苏", "Asia/Shanghai", 5345961),
    Place(2037013, "Harbin", "哈尔滨", 45.75, 126.65, 150, "PPLA", "CN", "China", "中国", "Heilongjiang", "黑龙江", "Asia/Shanghai", 5878939),
    Place(1529102, "Ürümqi", "乌鲁木齐", 43.80096, 87.60046, 846, "PPLA", "CN", "China", "中国", "Xinjiang", "新疆", "Asia/Urumqi", 3029372),
    Place(1280737, "Lhasa", "拉萨", 29.65, 91.1, 3651, "PPLA", "CN", "China", "中国", "Tibet", "西藏", "Asia/Shanghai", 118721),
    Place(1819729, "Hong Kong", "香港", 22.27832, 114.17469, 9, "PPLC", "HK", "Hong Kong", "香港", None, None, "Asia/Hong_Kong", 7491609),
    Place(1668341, "Taipei", "台北", 25.05306, 121.52639, 9, "PPLC", "TW", "Taiwan", "台湾", "Taipei City", "台北市", "Asia/Taipei", 7871900),
    Place(1850147, "Tokyo", "东京", 35.6895, 139.69171, 44, "PPLC", "JP", "Japan", "日本", "Tokyo", "东京都", "Asia/Tokyo", 9733276),
    Place(1835848, "Seoul", "首尔", 37.566, 126.9784, 38, "PPLC", "KR", "South Korea", "韩国", "Seoul", "首尔", "Asia/Seoul", 10349312),
    Place(1880252, "Singapore", "新加坡", 1.28967, 103.85007, 23, "PPLC", "SG", "Singapore", "新加坡", None, None, "Asia/Singapore", 5638700),
    Place(1609350, "Bangkok", "曼谷", 13.75398, 100.50144, 12, "PPLC", "TH", "Thailand", "泰国", "Bangkok", "曼谷", "Asia/Bangkok", 5104476),
    Place(1273294, "Delhi", "德里", 28.65195, 77.23149, 227, "PPLA", "IN", "India", "印度", "Delhi", "德里", "Asia/Kolkata", 10927986),
    Place(292223, "Dubai", "迪拜", 25.07725, 55.30927, 24, "PPLA", "AE", "United Arab Emirates", "阿联酋", "Dubai", "迪拜", "Asia/Dubai", 3790000),
    Place(745044, "Istanbul", "伊斯坦布尔", 41.01384, 28.94966, 39, "PPLA", "TR", "Türkiye", "土耳其", "Istanbul", "伊斯坦布尔", "Europe/Istanbul", 15701602),
    Place(524901, "Moscow", "莫斯科", 55.75222, 37.61556, 144, "PPLC", "RU", "Russia", "俄罗斯", "Moscow", "莫斯科", "Europe/Moscow", 10381222),
    Place(2988507, "Paris", "巴黎", 48.85341, 2.3488, 42, "PPLC", "FR", "France", "法国", "Île-de-France", "法兰西岛", "Europe/Paris", 2138551),
    Place(2643743, "London", "伦敦", 51.50853, -0.12574, 25, "PPLC", "GB", "United Kingdom", "英国", "England", "英格兰", "Europe/London", 8961989),
    Place(2950159, "Berlin", "柏林", 52.52437, 13.41053, 74, "PPLC", "DE", "Germany", "德国", "State of Berlin", "柏林", "Europe/Berlin", 3426354),
    Place(2867714, "Munich", "慕尼黑", 48.13743, 11.57549, 524, "PPLA", "DE", "Germany", "德国", "Bavaria", "巴伐利亚", "Europe/Berlin", 1260391),
    Place(2761369, "Vienna", "维也纳", 48.20849, 16.37208, 171, "PPLC", "AT", "Austria", "奥地利", "Vienna", "维也纳", "Europe/Vienna", 1691468),
    Place(2657896, "Zürich", "苏黎世", 47.36667, 8.55, 429, "PPLA", "CH", "Switzerland", "瑞士", "Zurich", "苏黎世", "Europe/Zurich", 341730),
    Place(3169070, "Rome", "罗马", 41.89193, 12.51133, 20, "PPLC", "IT", "Italy", "意大利", "Lazio", "拉齐奥", "Europe/Rome", 2318895),
    Place(3117735, "Madrid", "马德里", 40.4165, -3.70256, 665, "PPLC", "ES", "Spain", "西班牙", "Madrid", "马德里", "Europe/Madrid", 3255944),
    Place(2759794, "Amsterdam", "阿姆斯特丹", 52.37403, 4.88969, 13, "PPLC", "NL", "Netherlands", "荷兰", "North Holland", "北荷兰", "Europe/Amsterdam", 741636),
    Place(360630, "Cairo", "开罗", 30.06263, 31.24967, 23, "PPLC", "EG", "Egypt", "埃及", "Cairo", "开罗", "Africa/Cairo", 9606916),
    Place(184745, "Nairobi", "内罗毕", -1.28333, 36.81667, 1661, "PPLC", "KE", "Kenya", "肯尼亚", "Nairobi County", "内罗毕", "Africa/Nairobi", 2750547),
    Place(5128581, "New York", "纽约", 40.71427, -74.00597, 10, "PPL", "US", "United States", "美国", "New York", "纽约州", "America/New_York", 8804190),
    Place(5391959, "San Francisco", "旧金山", 37.77493, -122.41942, 16, "PPLA2", "US", "United States", "美国", "California", "加利福尼亚州", "America/Los_Angeles", 864816),
    Place(4887398, "Chicago", "芝加哥", 41.85003, -87.65005, 180, "PPLA2", "US", "United States", "美国", "Illinois", "伊利诺伊州", "America/Chicago", 2720546),
    Place(6167865, "Toronto", "多伦多", 43.70643, -79.39864, 175, "PPLA", "CA", "Canada", "加拿大", "Ontario", "安大略省", "America/Toronto", 2731571),
    Place(3448439, "São Paulo", "圣保罗", -23.5475, -46.63611, 769, "PPLA", "BR", "Brazil", "巴西", "São Paulo", "圣保罗州", "America/Sao_Paulo", 12400232),
    Place(2147714, "Sydney", "悉尼", -33.86785, 151.20732, 58, "PPLA", "AU", "Australia", "澳大利亚", "New South Wales", "新南威尔士", "Australia/Sydney", 5450496),
)  # fmt: skip
